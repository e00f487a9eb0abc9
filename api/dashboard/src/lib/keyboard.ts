/** Keys that do something: one list, from which the help is drawn as well. */

import { useEffect, useRef } from "react";

export interface Key {
  /** `j`, `/`, `Escape`, or two after each other: `g l`. */
  keys: string;
  does: string;
  run: (event: KeyboardEvent) => void;
}

const active: { title: string; keys: readonly Key[] }[] = [];
let first = "";
let timer = 0;

/** All keys that work now, by where they belong: for the help. */
export function activeKeys(): readonly { title: string; keys: readonly Key[] }[] {
  return active;
}

function writes(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function pressed(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (writes(event.target) || document.querySelector("dialog[open]")) return;
  const sequence = first ? `${first} ${event.key}` : event.key;
  first = "";
  window.clearTimeout(timer);
  const all = [...active].reverse().flatMap((group) => group.keys);
  const found = all.find((one) => one.keys === sequence) ?? all.find((one) => one.keys === event.key);
  if (found) {
    event.preventDefault();
    found.run(event);
  } else if (all.some((one) => one.keys.startsWith(`${event.key} `))) {
    first = event.key;
    timer = window.setTimeout(() => (first = ""), 1500);
  }
}

let listening = false;

/** These keys work while the component is shown. */
export function useKeys(title: string, keys: readonly Key[]): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    if (!listening) document.addEventListener("keydown", pressed);
    listening = true;
    const group = {
      title,
      get keys() {
        return latest.current;
      },
    };
    active.push(group);
    return () => void active.splice(active.indexOf(group), 1);
  }, [title]);
}
