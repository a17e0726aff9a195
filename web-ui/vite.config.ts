import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [svelte()],
  // Nothing is inlined: the policy of content forbids what is.
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false }, target: "es2022", cssCodeSplit: false },
});
