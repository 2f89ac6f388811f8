// Numbers and dates as the reader writes them.
const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte'] as const

const sizes = UNITS.map((unit) => {
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
  return (sizes[unit] as (typeof sizes)[number])[value < 100 ? 0 : 1].format(value)
}

const plain = new Intl.NumberFormat()
export const number = (value: number) => plain.format(value)

const part = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 })
export const percent = (value: number) => part.format(value)

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const both = new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'medium' })
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

/** Today: the time. Otherwise: the day. */
export function when(time: string): string {
  const date = new Date(time)
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : day.format(date)
}

export const exactly = (time: string) => both.format(new Date(time))

/** "in 3 days", "2 hours ago". */
export function fromNow(time: string): string {
  return span((new Date(time).getTime() - Date.now()) / 1000, (value, unit) => relative.format(value, unit))
}

/** "2 min". */
export function duration(seconds: number): string {
  return span(Math.max(1, seconds), (value, unit) =>
    new Intl.NumberFormat(undefined, { style: 'unit', unit, unitDisplay: 'short' }).format(value),
  )
}

function span(seconds: number, format: (value: number, unit: 'second' | 'minute' | 'hour' | 'day') => string): string {
  const size = Math.abs(seconds)
  if (size < 60) return format(Math.round(seconds), 'second')
  if (size < 3600) return format(Math.round(seconds / 60), 'minute')
  if (size < 86400) return format(Math.round(seconds / 3600), 'hour')
  return format(Math.round(seconds / 86400), 'day')
}

const plural = new Intl.PluralRules('en')
/** "1 file", "2 files". */
export function count(value: number, noun: string, more = `${noun}s`): string {
  return `${number(value)} ${plural.select(value) === 'one' ? noun : more}`
}
