/** Installing the dashboard as an app: browsers that can offer it tell so once, early. */

import { useSyncExternalStore } from "react";

interface Offer extends Event {
  prompt: () => Promise<unknown>;
}

let offer: Offer | null = null;
const listeners = new Set<() => void>();

function set(next: Offer | null): void {
  offer = next;
  for (const listener of listeners) listener();
}

/** Keep the browser's offer for when somebody asks for it; call it before anything is drawn. */
export function watchInstall(): void {
  window.addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault(); // no banner of the browser's own over a page that somebody reads
    set(event as Offer);
  });
  window.addEventListener("appinstalled", () => set(null));
}

/** What opens the browser's question, or null where it is installed already or cannot be. */
export function useInstall(): (() => void) | null {
  const standing = useSyncExternalStore(
    (listener) => (listeners.add(listener), () => listeners.delete(listener)),
    () => offer,
  );
  if (standing === null) return null;
  return () => {
    set(null); // an offer can be used once
    void standing.prompt();
  };
}
