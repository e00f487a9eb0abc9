/** The icons, drawn on a grid of 24. */

import type { ReactNode } from "react";

const PATHS = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-4H4zM14 8h6V4h-6z",
  logs: "M4 6h16M4 10h10M4 14h16M4 18h7",
  explore: "M4 4v16h16M8 15l3.5-4.5 3 2.5L20 7",
  runs: "M5 4v16M5 5h12l-2.5 4L17 13H5",
  alerts: "M6 17V11a6 6 0 0 1 12 0v6l1.5 2h-15zM10 21.5h4",
  pipeline: "M4 7h5a3 3 0 0 1 3 3v4a3 3 0 0 0 3 3h5M17 14l3 3-3 3",
  admin: "M12 3l7 3v5c0 4.5-3 8-7 10-4-2-7-5.500-7-10V6z",
  search: "M11 18a7 7 0 1 1 0-14 7 7 0 0 1 0 14zM16.2 16.2L21 21",
  clock: "M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18zM12 7v5l3.500 2",
  refresh: "M20 11a8 8 0 0 0-14.500-3.500L4 9M4 4v5h5M4 13a8 8 0 0 0 14.500 3.500L20 15M20 20v-5h-5",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  sun: "M12 16a4 4 0 1 1 0-8 4 4 0 0 1 0 8zM12 2v2M12 20v2M4.900 4.900l1.400 1.400M17.700 17.700l1.400 1.400M2 12h2M20 12h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400",
  user: "M12 12a4 4 0 1 1 0-8 4 4 0 0 1 0 8zM4.500 20a7.500 7.500 0 0 1 15 0",
  keyboard: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M18 10h.01M8 14h8",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  up: "M6 15l6-6 6 6",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12.500l4.500 4.500L19 7",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4.200 4.200 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4.200 4.200 0 0 0 6 6l1-1",
  play: "M7 5l12 7-12 7z",
  pause: "M8 5v14M16 5v14",
  star: "M12 4l2.500 5.200 5.500.8-4 4 1 5.700-5-2.700-5 2.700 1-5.700-4-4 5.500-.8z",
  export: "M12 4v11M8 11l4 4 4-4M5 20h14",
  filter: "M4 5h16l-6 7.500V19l-4-2v-4.500z",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  logout: "M14 4h5v16h-5M4 12h11M11 8l4 4-4 4",
  edit: "M4 20l1-4L16 5l3 3L8 19zM13.500 7.500l3 3",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  bellOff: "M4 4l16 16M8 7.500A6 6 0 0 1 18 11v4M6 11v6l-1.500 2H17M10 21.500h4",
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration only: whatever carries it says the same in words. */
export function Icon({ name, size = 16, fill = false }: { name: IconName; size?: number; fill?: boolean }): ReactNode {
  return (
    <svg aria-hidden="true" width={size} height={size} viewBox="0 0 24 24" fill={fill ? "currentColor" : "none"} stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" className="shrink-0">
      <path d={PATHS[name]} />
    </svg>
  );
}
