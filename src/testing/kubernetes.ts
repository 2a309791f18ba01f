/**
 * The part of Kubernetes' API that the manifests in schedulers/ use: batch/v1 Job as the API reference of
 * v1.31 has it, and MPIJob as v2beta1 of Kubeflow's MPI Operator; no unknown field allowed, and the rules among fields
 * that the servers enforce.
 */
import * as v from 'valibot';

const name = v.pipe(v.string(), v.regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/));
const quantity = v.pipe(v.string(), v.regex(/^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?$/));
const amounts = v.record(v.picklist(['cpu', 'memory', 'ephemeral-storage']), quantity);
const whole = (least: number): v.GenericSchema<number> => v.pipe(v.number(), v.integer(), v.minValue(least));

const container = v.strictObject({
  name,
  image: v.string(),
  command: v.optional(v.array(v.string())),
  args: v.optional(v.array(v.string())),
  securityContext: v.optional(v.strictObject({ runAsUser: v.optional(whole(0)) })),
  resources: v.optional(v.strictObject({ requests: v.optional(amounts), limits: v.optional(amounts) })),
  volumeMounts: v.optional(v.array(v.strictObject({ name, mountPath: v.string(), readOnly: v.optional(v.boolean()) }))),
});

/** Codes in ascending order without repetition; 0 is no failure. */
const exitCodes = v.pipe(
  v.array(whole(1)),
  v.minLength(1),
  v.maxLength(255),
  v.check((codes) => codes.every((code, i) => i === 0 || code > codes[i - 1]!), 'exit codes are not in order'),
);

const rule = v.pipe(
  v.strictObject({
    action: v.picklist(['Ignore', 'FailJob', 'FailIndex', 'Count']),
    onExitCodes: v.optional(
      v.strictObject({ containerName: v.optional(name), operator: v.picklist(['In', 'NotIn']), values: exitCodes }),
    ),
    onPodConditions: v.optional(
      v.array(v.strictObject({ type: v.string(), status: v.optional(v.picklist(['True', 'False', 'Unknown'])) })),
    ),
  }),
  v.check(
    (one) => (one.onExitCodes === undefined) !== (one.onPodConditions === undefined),
    'a rule has either exit codes or conditions',
  ),
);

const restartPolicy = v.picklist(['Never', 'OnFailure']);

const podFields = {
  terminationGracePeriodSeconds: v.optional(whole(0)),
  containers: v.pipe(v.array(container), v.minLength(1)),
  volumes: v.optional(v.array(v.strictObject({ name, persistentVolumeClaim: v.strictObject({ claimName: name }) }))),
};

interface Pod {
  readonly containers: readonly v.InferOutput<typeof container>[];
  readonly volumes?: readonly { readonly name: string }[] | undefined;
}

const mountsVolumes = <T extends Pod>(): v.CheckAction<T, string> =>
  v.check(({ containers, volumes = [] }) => {
    const known = new Set(volumes.map((volume) => volume.name));
    return containers.every(({ volumeMounts = [] }) => volumeMounts.every((mount) => known.has(mount.name)));
  }, 'a mount names no volume');

const podSpec = v.pipe(v.strictObject({ restartPolicy, ...podFields }), mountsVolumes());

const jobSpec = v.pipe(
  v.strictObject({
    completionMode: v.optional(v.picklist(['Indexed', 'NonIndexed'])),
    completions: v.optional(whole(1)),
    parallelism: v.optional(whole(0)),
    backoffLimit: v.optional(whole(0)),
    backoffLimitPerIndex: v.optional(whole(0)),
    maxFailedIndexes: v.optional(whole(0)),
    podFailurePolicy: v.optional(v.strictObject({ rules: v.pipe(v.array(rule), v.maxLength(20)) })),
    template: v.strictObject({ spec: podSpec }),
  }),
  v.check(
    ({ podFailurePolicy, template }) => podFailurePolicy === undefined || template.spec.restartPolicy === 'Never',
    'podFailurePolicy needs restartPolicy Never',
  ),
  v.check(
    ({ backoffLimitPerIndex, completionMode }) => backoffLimitPerIndex === undefined || completionMode === 'Indexed',
    'backoffLimitPerIndex needs completionMode Indexed',
  ),
  v.check(
    ({ maxFailedIndexes, backoffLimitPerIndex }) =>
      maxFailedIndexes === undefined || backoffLimitPerIndex !== undefined,
    'maxFailedIndexes needs backoffLimitPerIndex',
  ),
  v.check(
    ({ completionMode, completions }) => completionMode !== 'Indexed' || completions !== undefined,
    'an Indexed Job needs completions',
  ),
  v.check(({ podFailurePolicy, template }) => {
    const names = new Set(template.spec.containers.map((one) => one.name));
    const named = podFailurePolicy?.rules.flatMap(({ onExitCodes }) => onExitCodes?.containerName ?? []) ?? [];
    return named.every((one) => names.has(one));
  }, 'a rule names no container'),
  v.check(
    ({ podFailurePolicy, backoffLimitPerIndex }) =>
      backoffLimitPerIndex !== undefined ||
      podFailurePolicy?.rules.every(({ action }) => action !== 'FailIndex') !== false,
    'FailIndex needs backoffLimitPerIndex',
  ),
);

const metadata = v.strictObject({ name, labels: v.optional(v.record(v.string(), v.string())) });

export const jobSchema = v.strictObject({
  apiVersion: v.literal('batch/v1'),
  kind: v.literal('Job'),
  metadata,
  spec: jobSpec,
});

/** Pods of one kind; the operator sets their own restart policy by this one. */
const replicasOf = <Count extends v.GenericSchema<number>>(replicas: Count) =>
  v.strictObject({
    replicas,
    restartPolicy: v.optional(restartPolicy),
    template: v.strictObject({ spec: v.pipe(v.strictObject(podFields), mountsVolumes()) }),
  });

export const mpiJobSchema = v.strictObject({
  apiVersion: v.literal('kubeflow.org/v2beta1'),
  kind: v.literal('MPIJob'),
  metadata,
  spec: v.strictObject({
    slotsPerWorker: v.optional(whole(1)),
    mpiImplementation: v.optional(v.picklist(['OpenMPI', 'Intel', 'MPICH'])),
    sshAuthMountPath: v.optional(v.pipe(v.string(), v.startsWith('/'))),
    launcherCreationPolicy: v.optional(v.picklist(['AtStartup', 'WaitForWorkersReady'])),
    runPolicy: v.optional(
      v.strictObject({
        cleanPodPolicy: v.optional(v.picklist(['All', 'Running', 'None'])),
        ttlSecondsAfterFinished: v.optional(whole(0)),
        activeDeadlineSeconds: v.optional(whole(0)),
        backoffLimit: v.optional(whole(0)),
        suspend: v.optional(v.boolean()),
      }),
    ),
    mpiReplicaSpecs: v.strictObject({
      Launcher: replicasOf(v.literal(1)),
      Worker: replicasOf(whole(1)),
    }),
  }),
});
