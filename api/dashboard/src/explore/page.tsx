import type { ReactNode } from "react";
import { Empty } from "../ui/notice";

export default function Explore(): ReactNode {
  return <Empty title="Explore" />;
}
