import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, count, date, duration, fromNow, percent, timeOrDate } from '../src/format'

/** Intl separates with several kinds of space. */
const plain = (text: string) => text.replaceAll(/\s/g, ' ')

test('sizes have three significant digits and decimal units', () => {
  const sizes: [number, string][] = [
    [0, '0 byte'],
    [1, '1 byte'],
    [999, '999 byte'],
    [1000, '1 kB'],
    [1_234_567, '1.23 MB'],
    [123_456_789, '123 MB'],
    [999_499, '999 kB'],
    [999_500, '1 MB'],
    [5e15, '5 PB'],
    [5e18, '5,000 PB'],
  ]
  for (const [size, text] of sizes) assert.equal(plain(bytes(size)).replace('bytes', 'byte'), text)
  assert.equal(plain(bytes(1)), '1 byte')
  assert.equal(plain(bytes(2)), '2 bytes')
})

test('a count selects singular or plural', () => {
  assert.equal(count(1, 'file'), '1 file')
  assert.equal(count(0, 'file'), '0 files')
  assert.equal(count(1200, 'entry', 'entries'), '1,200 entries')
})

test('durations are rounded to one unit', () => {
  assert.equal(plain(duration(0)), '1 sec')
  assert.equal(plain(duration(119)), '2 min')
  assert.equal(plain(duration(3600)), '1 hr')
  assert.equal(plain(duration(30 * 86400, 'long')), '30 days')
})

test('times are relative to now', () => {
  const inThreeDays = new Date(Date.now() + 3 * 86_400_000 + 1000).toISOString()
  assert.equal(fromNow(inThreeDays), 'in 3 days')
  assert.equal(fromNow(new Date(Date.now() - 7_200_000).toISOString()), '2 hours ago')
})

test('today is shown as a time, other days as a date', () => {
  assert.match(timeOrDate(new Date().toISOString()), /^\d+:\d\d\s[AP]M$/)
  assert.equal(timeOrDate('2020-02-29T23:00:00Z'), 'Feb 29, 2020')
  assert.equal(date('2020-02-29T23:00:00Z'), 'Feb 29, 2020')
})

test('percentages have no decimals', () => {
  assert.equal(percent(0.534), '53%')
})
