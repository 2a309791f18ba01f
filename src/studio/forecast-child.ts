/** A process of its own that tells how long a training would take. It is ended where nobody wants to know any more. */
import { forecastLearn, forecastTrain } from '../jobs/forecast.js';
import { failureOf } from '../threads/protocol.js';
import type { ForecastAnswer, ForecastRequest } from './child.js';

process.on('disconnect', () => process.exit());
process.on('SIGINT', () => undefined); // the studio hears Ctrl-C too, and ends this
process.once('message', ({ command, data, out, options }: ForecastRequest) => {
  void (command === 'learn' ? forecastLearn : forecastTrain)({ data, out }, options)
    .then(({ seconds }): ForecastAnswer => ({ seconds }))
    .catch((error: unknown): ForecastAnswer => ({ failure: failureOf(error) }))
    .then((answer) => process.send?.(answer, () => process.disconnect()));
});
