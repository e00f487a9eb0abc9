import type { ReactNode } from "react";
import { activeKeys } from "../lib/keyboard";
import { Dialog } from "../ui/dialog";

/** Which keys work here. */
export function Help({ onClose }: { onClose: () => void }): ReactNode {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <div className="flex flex-col gap-4">
        {activeKeys().map((group) => (
          <section key={group.title}>
            <h3 className="mb-1 text-2xs font-semibold text-soft">{group.title}</h3>
            <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
              {group.keys.map((key) => (
                <div key={key.keys} className="contents">
                  <dt className="flex gap-1">
                    {key.keys.split(" ").map((one, at) => (
                      <kbd key={at} className="min-w-6 rounded border border-line bg-raised px-1.5 text-center font-mono text-xs">
                        {one}
                      </kbd>
                    ))}
                  </dt>
                  <dd>{key.does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
