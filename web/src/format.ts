// Numbers and dates in the user's locale.
const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte'] as const

const sizeFormats = UNITS.map((unit) => {
  const style = { style: 'unit', unit, unitDisplay: unit === 'byte' ? 'long' : 'short' } as const
  return [
    new Intl.NumberFormat(undefined, { ...style, maximumSignificantDigits: 3 }),
    new Intl.NumberFormat(undefined, { ...style, maximumFractionDigits: 0 }),
  ] as const
})

/** 1,234,567 as "1.23 MB". */
export function bytes(count: number): string {
  let unit = 0
  let value = count
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  return (sizeFormats[unit] as (typeof sizeFormats)[number])[value < 100 ? 0 : 1].format(value)
}

const numberFormat = new Intl.NumberFormat()
export const number = (value: number) => numberFormat.format(value)

const percentFormat = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 })
export const percent = (value: number) => percentFormat.format(value)

const timeFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const dateTimeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'medium' })
const relativeFormat = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

/** "Nov 28, 2026" */
export const date = (time: string) => dateFormat.format(new Date(time))

/** "November 28, 2026 at 1:10:02 PM" */
export const dateTime = (time: string) => dateTimeFormat.format(new Date(time))

/** The time if it is today, otherwise the date. */
export function timeOrDate(time: string): string {
  const isToday = new Date(time).toDateString() === new Date().toDateString()
  return isToday ? timeFormat.format(new Date(time)) : date(time)
}

/** "in 3 days", "2 hours ago" */
export function fromNow(time: string): string {
  return span((new Date(time).getTime() - Date.now()) / 1000, (value, unit) => relativeFormat.format(value, unit))
}

/** "2 min" */
export function duration(seconds: number, unitDisplay: 'short' | 'long' = 'short'): string {
  return span(Math.max(1, seconds), (value, unit) =>
    new Intl.NumberFormat(undefined, { style: 'unit', unit, unitDisplay }).format(value),
  )
}

function span(seconds: number, format: (value: number, unit: 'second' | 'minute' | 'hour' | 'day') => string): string {
  const size = Math.abs(seconds)
  if (size < 60) return format(Math.round(seconds), 'second')
  if (size < 3600) return format(Math.round(seconds / 60), 'minute')
  if (size < 86400) return format(Math.round(seconds / 3600), 'hour')
  return format(Math.round(seconds / 86400), 'day')
}

const pluralRules = new Intl.PluralRules('en')
/** "1 file", "2 files" */
export function count(value: number, noun: string, plural = `${noun}s`): string {
  return `${number(value)} ${pluralRules.select(value) === 'one' ? noun : plural}`
}
