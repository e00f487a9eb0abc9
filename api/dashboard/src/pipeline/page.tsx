import type { ReactNode } from "react";
import { Empty } from "../ui/notice";

export default function Pipeline(): ReactNode {
  return <Empty title="Pipeline" />;
}
