import { useEffect, useId, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { Button } from "./button";
import type { IconName } from "./icons";

interface Props {
  label: ReactNode;
  title?: string;
  icon?: IconName;
  look?: "plain" | "quiet";
  align?: "left" | "right";
  small?: boolean;
  width?: string;
  className?: string;
  children: (close: () => void) => ReactNode;
}

const EDGE = 12; // pixels between a panel and the edge of a narrow screen

/** A button that opens a small panel below it; Escape, a click elsewhere or `close` shut it, and focus goes back. */
export function Menu({ label, title, icon, look = "plain", align = "left", small, width = "min-w-48", className, children }: Props): ReactNode {
  const [open, setOpen] = useState(false);
  const whole = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const [shift, setShift] = useState(0);
  const id = useId();
  useLayoutEffect(() => {
    if (!open) return setShift(0);
    const { left, right } = panel.current!.getBoundingClientRect();
    setShift(left < EDGE ? EDGE - left : right > window.innerWidth - EDGE ? window.innerWidth - EDGE - right : 0);
  }, [open]);
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => whole.current?.contains(event.target as Node) || setOpen(false);
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      whole.current?.querySelector("button")?.focus();
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);
  return (
    <div ref={whole} className="relative">
      <Button look={look} icon={icon} small={small} title={title} className={className} aria-expanded={open} aria-controls={open ? id : undefined} onClick={() => setOpen(!open)}>
        {label}
      </Button>
      {open && (
        <div ref={panel} id={id} style={{ marginInline: align === "right" ? `0 ${-shift}px` : `${shift}px 0` }} className={`absolute top-full z-40 mt-1 max-h-[70vh] max-w-[calc(100vw-1.5rem)] overflow-auto rounded-lg border border-line bg-panel p-1 shadow-xl ${width} ${align === "right" ? "right-0" : "left-0"}`}>
          {children(() => setOpen(false))}
        </div>
      )}
    </div>
  );
}

/** A line of a menu. */
export function MenuItem({ children, on, onClick, href }: { children: ReactNode; on?: boolean; onClick?: () => void; href?: string }): ReactNode {
  const look = `flex w-full items-center gap-2 rounded-md px-2 py-1.5 text-left hover:bg-raised ${on ? "font-semibold text-accent" : ""}`;
  return href ? (
    <a href={href} className={look} onClick={onClick} download>
      {children}
    </a>
  ) : (
    <button type="button" className={look} onClick={onClick} aria-current={on || undefined}>
      {children}
    </button>
  );
}
