import { mount } from "svelte";
import App from "./App.svelte";
import "./parts/theme.css";
import "./parts/forms.css";

const target = document.getElementById("app");
if (target) mount(App, { target });
