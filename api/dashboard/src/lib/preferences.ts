/** What this browser remembers of its user: nothing secret, and nothing that a link should carry. */

import { useSyncExternalStore } from "react";

const DEFAULTS = { theme: "auto", refresh: "30", facets: "open", histogram: "open", zone: "local", wrap: "no" } as const;
export type Preference = keyof typeof DEFAULTS;

const listeners = new Set<() => void>();

export function preference(name: Preference): string {
  try {
    return localStorage.getItem(`monitoring.${name}`) ?? DEFAULTS[name];
  } catch {
    return DEFAULTS[name]; // storage may be forbidden; then nothing is remembered
  }
}

export function setPreference(name: Preference, value: string): void {
  try {
    localStorage.setItem(`monitoring.${name}`, value);
  } catch {
    return;
  }
  for (const listener of listeners) listener();
}

/** A preference that re-renders who shows it. */
export function usePreference(name: Preference): [string, (value: string) => void] {
  const value = useSyncExternalStore(
    (listener) => (listeners.add(listener), () => listeners.delete(listener)),
    () => preference(name),
  );
  return [value, (next) => setPreference(name, next)];
}

/** Put the theme on the page: at the start, when it is changed, and when the system's changes. */
export function applyTheme(): void {
  const wish = preference("theme");
  const dark = wish === "dark" || (wish === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
}

export function watchTheme(): void {
  applyTheme();
  listeners.add(applyTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
}

/** Seconds between two refreshes; 0: off. */
export function useRefreshSeconds(): number {
  return Number(usePreference("refresh")[0]) || 0;
}

/** The same for `refetchInterval`. */
export function useRefreshInterval(): number | false {
  const seconds = useRefreshSeconds();
  return seconds ? seconds * 1000 : false;
}
