/**
 * What the studio's server and its page say to each other: types alone, read by both. Requests and
 * answers are JSON; every address below begins with `/api`. An answer that is not 2xx is a `Failure`.
 *
 *     GET  /folders?at=PATH               Places: folders that can be opened, below the one given on the command line
 *     POST /open       OpenRequest        Folder: opens another folder or a bundled set; 409 while a training runs
 *     GET  /folder                        Folder: what is open
 *     POST /add?path=PATH                 bytes of an image -> Added: written into the folder, over no other file
 *     POST /rescan                        Folder: looks for images that came or went; ids stay, new images get new ones
 *     POST /backbone                      Folder: fetches what its `offer` says, as the person has asked
 *     GET  /images                        StudioImage[]: all of them, in the order of their ids
 *     GET  /thumbnail/:id  /picture/:id   a JPEG of at most 256 pixels; the image as a browser can show it
 *     GET  /labels                        Labels
 *     POST /labels[?step=KEY[&again=1]]   LabelChange[] -> LabelAnswer; 409 with `conflicts` where another window was
 *                                         first. `step` names what is sent: sent `again`, it is not made twice
 *     POST /classes    ClassChange        Labels
 *     GET  /next?count=N[&only=random]    Proposal[]: which images to label next; or of these the drawn ones alone
 *     GET  /alike/:id?count=N             number[]: ids of the images most like it, nearest first
 *     GET  /assistant                     Assistant: what the model that runs beside says
 *     GET  /check                         CheckQueues
 *     POST /check      CheckDecision      CheckQueues
 *     GET  /options/:command              OptionField[]: a form of `learn` or `train`
 *     GET  /runs                          RunSummary[], newest first
 *     POST /runs       RunRequest         RunSummary
 *     POST /forecast   RunRequest         Forecast: how long such a training is expected to take on this machine
 *     POST /runs/:name/stop  /resume      RunSummary
 *     GET  /runs/:name                    RunDetail
 *     GET  /runs/:name/batch              a PNG: the next batch that the training learns from; 204 where none comes
 *     GET  /runs/:name/files/*            report.html, model.onnx, model-card.md, preview.png
 *     POST /runs/:name/take/:form         TakeAway: makes a form of its model; asked again until it is there
 *     GET  /runs/:name/take/:form         its bytes, once it was made
 *     GET  /runs/compare?runs=a,b         RunComparison: on the images that all were measured on, with the first
 *     GET  /runs/:name/held-out           HeldOutImages: what the run said of images that it was measured on
 *     GET  /runs/:name/heat/:id?label=L   a JPEG: what spoke for a class (default: the most likely) in warm colours
 *     GET  /nearest/:id?count=N           number[]: ids of the labelled images most like it, nearest first
 *     POST /runs/:name/predict            bytes of an image -> Prediction
 *     GET  /events                        server-sent events: StudioEvent
 *
 * Requests may say which folder they mean (header `Pupil-Folder`: `key` of Folder): where another one was opened
 * meanwhile, or this one again, 409 is the answer, its code `other-folder`.
 */

/** Why a request failed, in words for the person at the page. */
export interface Failure {
  readonly error: { readonly code: string; readonly message: string };
}

/** How far a task that runs in the background is. */
export interface Progress {
  /** `comparison`: of all images by their features; it takes a while, and cannot say how far it is. */
  readonly task: 'scan' | 'thumbnails' | 'backbone' | 'features' | 'comparison' | 'assistant';
  readonly done: number;
  readonly total: number;
  /** Seconds left, once they can be told. */
  readonly left?: number | undefined;
}

export interface Folder {
  /** Another one each time a folder is opened. */
  readonly key: string;
  /** Of this folder, each time it is opened; '' where none is open. */
  readonly identity: string;
  /** Its last part, never the whole path of the machine. */
  readonly name: string;
  /** Its place below the folder that can be chosen from, '' for that one itself; null: no folder is open. */
  readonly at: string | null;
  /** Whether another one can be chosen. */
  readonly canChoose: boolean;
  readonly images: number;
  readonly labelled: number;
  /** Files that are images by name and cannot be read. */
  readonly unreadable: readonly { readonly path: string; readonly reason: string }[];
  /** Pairs of ids: the same pixels, or nearly. */
  readonly alike: readonly { readonly ids: readonly [number, number]; readonly kind: 'same' | 'near' }[];
  /** The manifest that labels are written to, relative to the folder. */
  readonly manifest: string;
  /** The network whose features are used: null as long as none is there, and one has to be asked for. */
  readonly backbone: { readonly name: string; readonly licence: string | null } | null;
  /** Where `backbone` is null: what would be fetched, from where, how large; nothing is fetched unasked. */
  readonly offer: Offer | null;
  /** What the layout says: which folders gave labels, or why none did. */
  readonly note: string | null;
  /** Tasks that are under way. */
  readonly progress: readonly Progress[];
}

/** A network that can be fetched. */
export interface Offer {
  readonly name: string;
  readonly host: string;
  readonly bytes: number | null;
  /** Why it could not be fetched when it was asked for last; null: it was not, yet. */
  readonly failure: string | null;
}

/** A folder that can be chosen from: names alone, as far as the studio may look. */
export interface Places {
  /** Of the folder that was given on the command line. */
  readonly root: string;
  /** Where this is below it, parts joined by `/`; '' is the folder itself. */
  readonly at: string;
  /** Files directly in it that are images by name. */
  readonly images: number;
  readonly folders: readonly { readonly name: string; readonly images: number; readonly folders: number }[];
  /** Sets of images that come with Pupil. */
  readonly sets: readonly { readonly name: string; readonly says: string }[];
}

export type OpenRequest =
  /** `make`: makes the folder where there is none. */
  | { readonly folder: string; readonly make?: boolean | undefined }
  /** Writes the set into a folder of its name, unless it is there already, and opens that. */
  | { readonly set: string };

export interface Added {
  /** Where it is now, relative to the folder: its own path, or one with a number where that was taken. */
  readonly path: string;
  /** false: the same bytes were there already. */
  readonly isNew: boolean;
}

export interface StudioImage {
  /** Its place among the images of the folder, from 0; stays as long as the server runs. */
  readonly id: number;
  /** Relative to the folder, with `/`. */
  readonly path: string;
  /** Pixels as shown (turned as Exif says); 0 as long as nobody has looked. */
  readonly width: number;
  readonly height: number;
  /** Its file is gone or cannot be decoded: it is in no list or count. Its id, and its label in the manifest, stay. */
  readonly absent?: true | undefined;
}

/** Who gave a label: a person one by one, a person by accepting what the model proposed, or the folder's layout. */
export type LabelSource = 'person' | 'accepted' | 'folder';

export interface Label {
  readonly id: number;
  readonly label: string;
  readonly source: LabelSource;
  /** It is of the random sample that the estimate is measured on. */
  readonly random: boolean;
}

export interface Labels {
  /** Grows with each change. */
  readonly version: number;
  /** In the order in which they were made: key 1 is the first one. */
  readonly classes: readonly string[];
  readonly labels: readonly Label[];
  /** Images that a person has said to be of none of the classes, or not worth a label. */
  readonly skipped: readonly number[];
}

/** What an image is marked with: a class, nothing, or set aside. */
export type Mark = string | null | { readonly skip: true };

export interface LabelChange {
  readonly id: number;
  /** What this window last saw; the change is refused where it is something else by now. */
  readonly was: Mark;
  readonly to: Mark;
  readonly source: 'person' | 'accepted';
  /** As the proposal said. */
  readonly random?: boolean | undefined;
}

export interface LabelAnswer {
  readonly version: number;
  /** Changes that were not made, with what is there now; nothing of the request was written then. */
  readonly conflicts?: readonly { readonly id: number; readonly now: Mark }[] | undefined;
}

export type ClassChange =
  | { readonly add: string }
  | { readonly rename: string; readonly to: string }
  /** Only a class without labels can be removed. */
  | { readonly remove: string };

export interface Proposal {
  readonly id: number;
  readonly why: 'typical' | 'unsure' | 'random';
}

/** The consensus of all labels so far, on the features of all images. */
export interface Assistant {
  /** The version of the labels that it has learned from. */
  readonly version: number;
  /** Where it cannot say anything yet: why, in a sentence. */
  readonly waiting: string | null;
  readonly predictions: readonly { readonly id: number; readonly label: string; readonly confidence: number }[];
  /** Accuracy on a random sample of the images whose labels it had not seen, with a 95% interval. */
  readonly estimate: {
    readonly accuracy: number;
    readonly interval: readonly [number, number];
    readonly images: number;
    /** How many more of them narrow the interval to so much on either side, on average; null: too few are left. */
    readonly narrower: { readonly images: number; readonly within: number } | null;
  } | null;
}

export interface CheckQueues {
  /** The label is likely wrong: what the model says instead, held out. */
  readonly labels: readonly {
    readonly id: number;
    readonly label: string;
    readonly likely: string;
    readonly confidence: number;
  }[];
  readonly alike: readonly { readonly ids: readonly [number, number]; readonly kind: 'same' | 'near' }[];
  /** Unlike all classes. */
  readonly strangers: readonly { readonly id: number; readonly score: number }[];
}

/** Files are never deleted: `remove` sets the image aside. */
export interface CheckDecision {
  readonly queue: 'labels' | 'alike' | 'strangers';
  readonly id: number;
  readonly decision: 'keep' | 'remove' | { readonly label: string } | TakenBack;
}

/** Takes a `keep` back: the label that was kept, and who had given it before. */
export interface TakenBack {
  readonly kept: string | null;
  readonly source: LabelChange['source'];
}

/** An option as a form shows it; from the table of options. */
export interface OptionField {
  readonly name: string;
  readonly label: string;
  readonly says: string;
  readonly group: string;
  readonly kind: 'flag' | 'number' | 'choice' | 'text';
  readonly choices?: readonly string[] | undefined;
  readonly usual?: string | number | boolean | undefined;
  /** What it is where nothing is chosen: `10`, `physical cores`, `off`. */
  readonly empty: string;
  /** 1 first; without one under "more". */
  readonly rank?: number | undefined;
}

export interface RunRequest {
  readonly command: 'learn' | 'train';
  /** Names and values as the table of options has them; data, model and folder are the studio's to give. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
}

/** What is worked out from the plan of the command and a measured step; the latest request ends those before. */
export interface Forecast {
  /** null while a training runs: what is measured beside it is wrong. */
  readonly seconds: number | null;
}

/** `int8`: an ONNX file; `hub` and `web`: folders, as ZIP archives. */
export type TakeAwayForm = 'int8' | 'hub' | 'web';

export interface TakeAway {
  /** The share that is done; null: that is not known. */
  readonly done: number | null;
  /** null: it is being made. */
  readonly bytes: number | null;
}

export type RunState = 'waiting' | 'running' | 'stopping' | 'stopped' | 'finished' | 'failed';

export interface RunSummary {
  readonly name: string;
  readonly command: string;
  readonly state: RunState;
  /** Why it failed. */
  readonly message?: string | undefined;
  /** Share of the whole job, 0 to 1, and seconds left where they can be told; 0: it takes longer than planned. */
  readonly done: number;
  readonly left?: number | undefined;
  /** The number that the report's headline has, and what it was measured on. */
  readonly accuracy?: number | undefined;
  readonly interval?: readonly [number, number] | undefined;
  readonly measuredOn?: string | undefined;
  /** Where that is a part of the images that were measured: all of them, most chosen to be labelled. */
  readonly ofAll?: { readonly accuracy: number; readonly images: number } | undefined;
  /** Where labels that a model had suggested are among those measured: what to think of the number. */
  readonly easier?: string | undefined;
  /** The pretrained networks that it comes from, with their licences; null: not known. */
  readonly origins?: readonly { readonly name: string | null; readonly licence: string | null }[] | undefined;
  /** A text that changes whenever its model does; absent as long as there is none. */
  readonly model?: string | undefined;
}

/** A technique of a ladder. */
export interface RunStage {
  readonly name: string;
  /** In a few words. */
  readonly what: string | null;
  readonly accuracy: number | null;
  /** `best`: it is the result. */
  readonly state: 'waiting' | 'running' | 'kept' | 'no better' | 'skipped' | 'best';
  /** That it took, or is expected to take. */
  readonly seconds: number | null;
  /** Why it was kept, or not. */
  readonly reason: string | null;
}

/** What a model said of the images without labels. */
export interface PseudoRound {
  readonly title: string;
  readonly images: number;
  readonly accepted: number;
  /** The confidence from which labels were taken. */
  readonly threshold: number | null;
  /** Images by confidence, in tenths. */
  readonly histogram: readonly number[];
  readonly classes: readonly {
    readonly name: string;
    readonly predicted: number;
    readonly accepted: number;
    /** Mean of those predicted. */
    readonly confidence: number;
    /** Images that were taken, the surest first. */
    readonly examples: readonly number[];
  }[];
  /** The least sure. */
  readonly doubtful: readonly number[];
}

export interface RunDetail extends RunSummary {
  /** The techniques of a ladder in order: tried, under way, to come. */
  readonly stages: readonly RunStage[];
  /** By round. */
  readonly pseudoLabels: readonly PseudoRound[];
  /** Whether there is a picture of the first batch. */
  readonly hasPreview: boolean;
  readonly curve: readonly { readonly epoch: number; readonly trainLoss: number; readonly val: number | null }[];
  /** What the job said: notes and warnings, in order. */
  readonly notes: readonly string[];
}

/** Runs on the same images, each against the first. */
export interface RunComparison {
  readonly images: number;
  readonly runs: readonly {
    readonly name: string;
    readonly accuracy: number;
    readonly interval: readonly [number, number];
  }[];
  readonly comparisons: readonly {
    readonly name: string;
    readonly against: string;
    /** Accuracy above the other's, with its 95% interval. */
    readonly gain: number;
    readonly interval: readonly [number, number];
    /** McNemar's exact test: how likely such a difference is where there is none. */
    readonly p: number;
    /** Images that only `against`, or only `name`, is right on. */
    readonly onlyFirst: number;
    readonly onlySecond: number;
  }[];
}

/** What a run said of the images of the folder that it was measured on, and did not learn from. */
export interface HeldOutImages {
  /** In words. */
  readonly measuredOn: string;
  /** Where a part of them is a random sample: what was measured on these. */
  readonly fair?: string | undefined;
  /** As of a run. */
  readonly easier?: string | undefined;
  readonly classes: readonly string[];
  readonly images: readonly {
    readonly id: number;
    readonly label: string;
    readonly predicted: string;
    readonly confidence: number;
  }[];
}

export interface Prediction {
  /** null: of none of the classes. */
  readonly label: string | null;
  readonly probabilities: readonly { readonly label: string; readonly probability: number }[];
}

export type StudioEvent =
  /** Another folder is open now: what a window shows is of the one before. */
  | { readonly type: 'opened' }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'folder' }
  | { readonly type: 'labels'; readonly version: number }
  | { readonly type: 'assistant'; readonly version: number }
  | { readonly type: 'run'; readonly run: RunSummary };
