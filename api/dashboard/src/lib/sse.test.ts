import { expect, test } from "vitest";
import { StreamParser } from "./sse";

const STREAM = 'retry: 2000\n\nid: 17\ndata: {"a":1}\n\n: nothing new\n\nevent: missed\ndata: {"missed":4}\n\nid: 18\ndata: one\ndata: two\n\n';

const EXPECTED = [
  { event: "message", data: '{"a":1}', id: "17" },
  { event: "missed", data: '{"missed":4}', id: "17" },
  { event: "message", data: "one\ntwo", id: "18" },
];

test("messages are the same however the stream is cut", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new StreamParser();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size) found.push(...parser.feed(STREAM.slice(at, at + size)));
    expect(found).toEqual(EXPECTED);
    expect(parser.retryMs).toBe(2000);
  }
});

test("a message that is not finished is not told", () => {
  const parser = new StreamParser();
  expect(parser.feed("data: half\n")).toEqual([]);
  expect(parser.feed("\n")).toHaveLength(1);
});

test("lines may end in any of three ways, even where the stream is cut within one", () => {
  const parser = new StreamParser();
  expect([...parser.feed("data: a\r"), ...parser.feed("\n\r\n"), ...parser.feed("data: b\r\r\n")].map((one) => one.data)).toEqual(["a", "b"]);
});
