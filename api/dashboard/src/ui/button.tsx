import type { ButtonHTMLAttributes, ReactNode } from "react";
import { Icon, type IconName } from "./icons";

type Look = "plain" | "quiet" | "main" | "bad";

const LOOKS: Record<Look, string> = {
  plain: "border-line bg-panel hover:bg-raised text-ink",
  quiet: "border-transparent hover:bg-raised text-soft hover:text-ink",
  main: "border-transparent bg-accent text-on-accent hover:brightness-110",
  bad: "border-line bg-panel text-bad hover:bg-bad-soft",
};

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  icon?: IconName;
  on?: boolean;
  small?: boolean;
}

/** A button; with an icon and without words it needs a `title`. `on`: it is a switch, and whether it is on. */
export function Button({ look = "plain", icon, on, small = false, children, className = "", ...rest }: Props): ReactNode {
  const height = /\bh-\d/.test(className) ? "" : small ? "h-6" : "h-8";
  const size = `${height} ${small ? "px-1.5 text-xs gap-1" : "px-2.5 gap-1.5"}`;
  return (
    <button
      type="button"
      aria-label={children ? undefined : rest.title}
      aria-pressed={on}
      className={`inline-flex shrink-0 items-center justify-center rounded-md border font-medium whitespace-nowrap transition-colors disabled:opacity-50 ${size} ${on ? "border-accent bg-accent-soft text-accent" : LOOKS[look]} ${className}`}
      {...rest}
    >
      {icon && <Icon name={icon} size={small ? 13 : 15} />}
      {children}
    </button>
  );
}
