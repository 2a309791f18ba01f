/** Sliders and choices of operations and policies. */
import { useId } from 'preact/hooks';
import { largestOf, graded, policies, policyOf, scales, ungraded, valuesOf, type Control } from './policies.ts';
import { canMix, mode, opSettings, policySettings } from './state.ts';

interface SliderGiven {
  readonly label: string;
  readonly value: number;
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly isDisabled?: boolean;
  readonly onChange: (value: number) => void;
}

function Slider({ label, value, from, to, step, isDisabled = false, onChange }: SliderGiven) {
  const id = useId();
  return (
    <div class="slider">
      <span>
        <label for={id}>{label}</label> <b aria-hidden="true">{value}</b>
      </span>
      <input
        id={id}
        type="range"
        min={from}
        max={to}
        step={step}
        value={value}
        disabled={isDisabled}
        onInput={({ currentTarget }) => onChange(Number(currentTarget.value))}
      />
    </div>
  );
}

interface ChoiceGiven {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly (readonly [value: string, label: string])[];
  readonly onChange: (value: string) => void;
}

function Choice({ label, value, choices, onChange }: ChoiceGiven) {
  const id = useId();
  return (
    <div class="choice">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
        {choices.map(([one, words]) => (
          <option key={one} value={one}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

const asChoices = (words: readonly string[]): ChoiceGiven['choices'] => words.map((word) => [word, word]);

function OpControls() {
  const { op, scale, magnitude } = opSettings.value;
  const set = (changed: Partial<typeof opSettings.value>): void => {
    const next = { ...opSettings.value, ...changed };
    opSettings.value = { ...next, magnitude: Math.min(next.magnitude, largestOf(next.scale)) };
  };
  const isGraded = (graded as readonly string[]).includes(op);
  return (
    <>
      <Choice
        label="Operation"
        value={op}
        choices={[['', 'every operation'], ...asChoices([...graded, ...ungraded])]}
        onChange={(value) => set({ op: value })}
      />
      <Slider
        label="Magnitude"
        value={magnitude}
        from={0}
        to={largestOf(scale)}
        step={1}
        isDisabled={!isGraded}
        onChange={(value) => set({ magnitude: value })}
      />
      <Choice
        label="What magnitudes mean"
        value={scale}
        choices={asChoices(scales)}
        onChange={(value) => set({ scale: value })}
      />
    </>
  );
}

/** One control of the chosen policy. */
function PolicyControl({ control }: { readonly control: Control }) {
  const settings = policySettings.value,
    values = valuesOf(settings);
  const { name, label, usual, from = 0, to = 1, step = 1, choices } = control;
  const value = values[name] ?? usual;
  const set = (changed: number | string): void => {
    policySettings.value = {
      ...settings,
      values: { ...settings.values, [`${settings.kind} ${name}`]: changed },
    };
  };
  if (choices !== undefined)
    return <Choice label={label} value={String(value)} choices={asChoices(choices)} onChange={set} />;
  const most = typeof to === 'number' ? to : to(values);
  return <Slider {...{ label, from, step }} to={most} value={Math.min(Number(value), most)} onChange={set} />;
}

function PolicyControls() {
  const settings = policySettings.value;
  const policy = policyOf(settings.kind);
  const set = (changed: Partial<typeof settings>): void => {
    policySettings.value = { ...policySettings.value, ...changed };
  };
  return (
    <>
      <Choice
        label="Policy"
        value={settings.kind}
        choices={policies.map(({ kind, label }) => [kind, label])}
        onChange={(kind) => set({ kind })}
      />
      <p class="note">{policy.says}</p>
      {policy.controls.map((control) => (
        <PolicyControl key={`${settings.kind} ${control.name}`} control={control} />
      ))}
      <label class="tick">
        <input
          type="checkbox"
          checked={settings.flip}
          onChange={({ currentTarget }) => set({ flip: currentTarget.checked })}
        />
        Mirror half of them
      </label>
      <Slider
        label="Erase a box, share of images"
        {...{ value: settings.erase, from: 0, to: 1, step: 0.05 }}
        onChange={(erase) => set({ erase })}
      />
      <Slider
        label="CutMix, alpha"
        {...{ value: settings.cutmix, from: 0, to: 2, step: 0.1 }}
        isDisabled={!canMix.value}
        onChange={(cutmix) => set({ cutmix })}
      />
      <Slider
        label="MixUp, alpha"
        {...{ value: settings.mixup, from: 0, to: 2, step: 0.1 }}
        isDisabled={!canMix.value}
        onChange={(mixup) => set({ mixup })}
      />
      {!canMix.value && <p class="note">CutMix and MixUp mix labels too: label images of two classes first.</p>}
      <Choice
        label="Size that the network sees"
        value={String(settings.size)}
        choices={['64', '96', '128', '160', '224', '256'].map((size) => [size, `${size} × ${size} pixels`])}
        onChange={(size) => set({ size: Number(size) })}
      />
    </>
  );
}

export function Controls() {
  return (
    <form class="card augmenting" aria-label="Augmentation" onSubmit={(event) => event.preventDefault()}>
      <div class="kinds" role="radiogroup" aria-label="What to show">
        {(
          [
            ['policy', 'A policy', 'What training sees.'],
            ['op', 'One operation', 'Before and after.'],
          ] as const
        ).map(([key, title, says]) => (
          <label key={key} class="kind">
            <input type="radio" name="shown" checked={mode.value === key} onChange={() => (mode.value = key)} />
            <span>
              <b>{title}</b>
              <small>{says}</small>
            </span>
          </label>
        ))}
      </div>
      {mode.value === 'op' ? <OpControls /> : <PolicyControls />}
    </form>
  );
}
