import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backboneIn, cardLicence, originsOf, taughtBy, teachersIn } from './licence.js';

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

test('a model that learned from others names what these come from, each once', () => {
  const [own, one, other] = [
    { name: 'a/b', licence: 'mit' },
    { name: 'c/d', licence: 'cc-by-nc-4.0' },
    { name: 'e.onnx', licence: null },
  ] as const;
  const taught = taughtBy({ backbone: own }, [{ backbone: one, teachers: [other, own] }, { backbone: one }, {}]);
  assert.deepEqual(taught, { backbone: own, teachers: [one, other] });
  assert.deepEqual(originsOf(taught), [own, one, other]);
  assert.deepEqual(taughtBy({}, [{ backbone: own }]), { teachers: [own] });
  assert.deepEqual(taughtBy({ backbone: own }, [{ backbone: own }]), { backbone: own, teachers: undefined });
  assert.deepEqual(teachersIn({ teachers: [one, other, 3, {}, { name: 4, licence: 'a\nb' }] }), [one, other]);
  assert.equal(teachersIn({ teachers: 'mit' }), undefined);
});
