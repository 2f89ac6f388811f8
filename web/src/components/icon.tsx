// Line icons, 24 by 24, in the color of the text.
const PATHS = {
  files: 'M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z',
  folder: 'M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z',
  link: 'M10 13.5a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.5 1.5M14 10.5a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.5-1.5',
  trash: 'M4 7h16M9.5 7V4.5h5V7M6 7l1 12.5h10L18 7M10 11v5M14 11v5',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5a7.5 7.5 0 0 1 15 0',
  people:
    'M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.5a6.5 6.5 0 0 1 13 0M16 5a3.3 3.3 0 0 1 0 6.3M17.5 14.2a6.5 6.5 0 0 1 4 5.3',
  shield: 'M12 3l7.5 3v5.5c0 4.6-3.100 8-7.500 9.500-4.400-1.500-7.500-4.900-7.500-9.500V6zM9 12l2.200 2.200L15.300 10',
  upload: 'M12 16V4.500M7 9l5-5 5 5M4.500 15.500v3a1.500 1.500 0 0 0 1.500 1.500h12a1.500 1.500 0 0 0 1.500-1.500v-3',
  download:
    'M12 4v11.500M7 11l5 5 5-5M4.500 15.500v3a1.500 1.500 0 0 0 1.500 1.500h12a1.500 1.500 0 0 0 1.500-1.500v-3',
  search: 'M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zM15.500 15.500L20.500 20.500',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  close: 'M6 6l12 12M18 6L6 18',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  pause: 'M8.500 5.500v13M15.500 5.500v13',
  play: 'M7.500 5l11 7-11 7z',
  retry: 'M4.500 12a7.500 7.500 0 1 0 2.200-5.300L4.500 9M4.500 4v5h5',
  pencil: 'M4.500 19.500l1-4.500L16 4.500l3.500 3.500L9 18.500zM13.500 7l3.500 3.500',
  move: 'M3 7a2 2 0 0 1 2-2h4l2 2.500h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2zM9 13.300h6M12.800 10.800l2.500 2.500-2.500 2.500',
  plus: 'M12 5v14M5 12h14',
  up: 'M6.500 14.500L12 9l5.500 5.500',
  down: 'M6.500 9.500L12 15l5.500-5.500',
  left: 'M14.500 6.500L9 12l5.500 5.500',
  right: 'M9.500 6.500L15 12l-5.500 5.500',
  image: 'M4 5.500h16v13H4zM4 15.500l4.500-4.500 4 4 2.500-2.500 5 5M15.500 9.500h.01',
  video: 'M3.500 6h12v12h-12zM15.500 10.500l5-3v9l-5-3',
  audio:
    'M9 18V6l10-2v12M9 18a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0zM19 16a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0z',
  text: 'M6 3.500h8.500L19 8v12.500H6zM14 3.500V8.500h5M9 12.500h6.500M9 16h6.500',
  file: 'M6 3.500h8.500L19 8v12.500H6zM14 3.500V8.500h5',
  copy: 'M8.500 8.500h11v11h-11zM15.500 8.500v-4h-11v11h4',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5.500l3.500 2',
  alert: 'M12 3.500l9.500 16.500h-19zM12 10v4.500M12 17.300h.01',
  home: 'M4 11l8-7 8 7v9h-5.500v-5.500h-5V20H4z',
  exit: 'M14 4.500H5.500v15H14M10.500 12h10M17 8.500l3.500 3.500-3.500 3.500',
  book: 'M5 4.500h6.500A1.500 1.500 0 0 1 12 6v14a2 2 0 0 0-1.500-1H5zM19 4.500h-5.500A1.500 1.500 0 0 0 12 6v14a2 2 0 0 1 1.500-1H19z',
  key: 'M8 15.500a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 11.500h9M18 11.500v3.500',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg
      class={`icon icon-${name}`}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  )
}

/** The icon for a content type. */
export function iconOf(type: string): IconName {
  const kind = type.split('/')[0]
  if (kind === 'image' || kind === 'video' || kind === 'audio' || kind === 'text') return kind
  if (/pdf|json|xml|document|rtf/.test(type)) return 'text'
  return 'file'
}

export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg class="logo" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect x="2" y="2" width="28" height="28" rx="8" fill="currentColor" />
      <g fill="none" class="logo-dial" stroke-width="2.2" stroke-linecap="round">
        <circle cx="16" cy="16" r="8" />
        <circle cx="16" cy="16" r="1.200" />
        <path d="M16 8v4M16 20v4M8 16h4M20 16h4" />
      </g>
    </svg>
  )
}
