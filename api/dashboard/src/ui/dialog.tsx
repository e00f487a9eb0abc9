import { useEffect, useRef, type ReactNode } from "react";
import { Button } from "./button";

interface Props {
  title: string;
  onClose: () => void;
  children: ReactNode;
  wide?: boolean;
}

/** A modal dialog: the browser's own, which keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, children, wide = false }: Props): ReactNode {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
  }, []);
  return (
    <dialog
      ref={element}
      aria-label={title}
      onClose={onClose}
      onCancel={(event) => event.stopPropagation()}
      onClick={(event) => event.target === element.current && element.current.close()}
      className={`max-h-[90dvh] w-full rounded-xl border border-line bg-panel p-0 shadow-2xl ${wide ? "max-w-5xl" : "max-w-lg"} max-sm:m-0 max-sm:mt-auto max-sm:max-w-none max-sm:rounded-b-none`}
    >
      <div className="flex max-h-[88dvh] flex-col">
        <header className="flex items-center justify-between border-b border-line py-2 pr-2 pl-4">
          <h2 className="text-sm font-semibold">{title}</h2>
          <Button look="quiet" icon="close" title="Close" onClick={() => element.current?.close()} />
        </header>
        <div className="min-h-0 overflow-auto p-4">{children}</div>
      </div>
    </dialog>
  );
}
