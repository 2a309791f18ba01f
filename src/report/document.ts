import { html, trusted, type Html } from './html.js';
import { style } from './style.js';

/** What a browser may do in a page: draw its own style and images. */
const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** A page of its own around `body`: the style sheet, no scripts, no network. */
export const document = (title: string, body: Html): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${trusted(policy)}" />
        <meta name="referrer" content="no-referrer" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Pupil report</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        <main>
          ${body}
          <footer>Written by Pupil. Everything is inside this file.</footer>
        </main>
      </body>
    </html> `;
