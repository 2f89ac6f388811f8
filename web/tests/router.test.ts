import assert from 'node:assert/strict'
import { test } from 'node:test'
import { folderUrl, navigate, openedFile, openFile, parseRoute, route } from '../src/router'

const parse = (path: string) => parseRoute(new URL(path, 'http://page.test'))

test('each URL stands for a screen', () => {
  assert.deepEqual(parse('/'), { screen: 'files', path: '' })
  assert.deepEqual(parse('/files/a/b%20c'), { screen: 'files', path: 'a/b c' })
  assert.deepEqual(parse('/search?q=a%26b'), { screen: 'search', query: 'a&b' })
  for (const screen of ['trash', 'links', 'account', 'activity'] as const) {
    assert.deepEqual(parse(`/${screen}`), { screen })
  }
  assert.deepEqual(parse('/admin'), { screen: 'admin', tab: 'users', user: null })
  assert.deepEqual(parse('/admin/activity?user=7'), { screen: 'admin', tab: 'activity', user: '7' })
})

test('a folder path survives encoding in a URL', () => {
  for (const path of ['', 'a', 'a/b', '100 %/ä?#&', 'a%2Fb']) {
    assert.deepEqual(parse(folderUrl(path)), { screen: 'files', path })
  }
})

test('an escape that cannot be decoded is taken literally', () => {
  assert.deepEqual(parse('/files/100%'), { screen: 'files', path: '100%' })
})

test('a preview opens over the current screen', () => {
  navigate('/search?q=x')
  openFile('42', true)
  assert.equal(openedFile.value, '42')
  assert.deepEqual(route.value, { screen: 'search', query: 'x' })
  openFile(null, true)
  assert.equal(openedFile.value, null)
  assert.deepEqual(route.value, { screen: 'search', query: 'x' })
})
