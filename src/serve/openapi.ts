/** What `pupil serve` answers, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0). */
import { version } from '../version.js';

const json = (schema: object) => ({ content: { 'application/json': { schema } } });
const failed = (what: string) => ({ description: what, ...json({ $ref: '#/components/schemas/Failure' }) });

/** `labels`: the classes of the model. */
export const description = (labels: readonly string[]): object => ({
  openapi: '3.1.0',
  info: { title: 'An image classifier by Pupil', version },
  components: {
    securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    schemas: {
      Prediction: {
        type: 'object',
        required: ['label', 'confidence', 'probabilities'],
        properties: {
          label: { type: ['string', 'null'], enum: [...labels, null], description: 'null: like none of the classes' },
          confidence: { type: 'number', minimum: 0, maximum: 1 },
          probabilities: { type: 'object', additionalProperties: { type: 'number' } },
        },
      },
      Failure: {
        type: 'object',
        required: ['error'],
        properties: {
          error: {
            type: 'object',
            required: ['code', 'message'],
            properties: { code: { type: 'string' }, message: { type: 'string' } },
          },
        },
      },
    },
  },
  paths: {
    '/predict': {
      post: {
        summary: 'Classify an image: send its bytes',
        requestBody: { required: true, content: { 'image/*': {}, 'application/octet-stream': {} } },
        responses: {
          200: { description: 'What it shows', ...json({ $ref: '#/components/schemas/Prediction' }) },
          400: failed('Not an image that can be read'),
          401: failed('The token is missing'),
          413: failed('Too large'),
          503: failed('Too many requests wait: try again after the seconds in Retry-After'),
        },
      },
    },
    '/health': {
      get: { summary: 'Whether it answers, and its classes', responses: { 200: { description: 'It does' } } },
    },
    '/setup': {
      post: {
        summary: 'For Label Studio: the version of the model',
        responses: { 200: { description: 'The version' } },
      },
    },
  },
});
