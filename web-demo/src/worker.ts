/** The worker in which the page trains. */
import { serveTraining } from '../../dist/web.js';

serveTraining();
