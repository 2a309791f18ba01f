import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backboneIn, cardLicence } from './licence.js';

test('the licence of a model card is that of its heading', () => {
  assert.equal(cardLicence('---\nlicense: apache-2.0\ntags:\n- a\n---\n# Model\nlicense: mit\n'), 'apache-2.0');
  assert.equal(cardLicence("---\r\ntags: [a]\r\nlicense: 'cc-by-4.0'\r\n---\r\n"), 'cc-by-4.0');
  assert.equal(cardLicence('---\nlicense: other\nlicense_name: own-terms\n---\n'), 'own-terms');
  assert.equal(cardLicence('---\nlicense: other\n---\n'), 'other');
  for (const none of ['', '# Model\nlicense: mit\n', '---\nlicense:\n---\n', '---\nlicense: a\u001b[2J\n---\n'])
    assert.equal(cardLicence(none), undefined);
});

test('the provenance of a file names the network that it was trained from', () => {
  assert.deepEqual(backboneIn({ backbone: 'a/b', licence: 'mit' }), { name: 'a/b', licence: 'mit' });
  assert.deepEqual(backboneIn({ backbone: 'a.onnx' }), { name: 'a.onnx', licence: null });
  assert.deepEqual(backboneIn({ licence: 'mit' }), { name: null, licence: 'mit' });
  assert.equal(backboneIn({ backbone: 3, licence: 'a\nb' }), undefined);
  assert.equal(backboneIn(undefined), undefined);
});
