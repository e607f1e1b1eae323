/** Types of the modules that `<avatar-upload>` loads from the CDN. docs/widget.md describes every member. */

export type GetToken = (request: { refresh: boolean }) => Promise<string> | string;

export type State =
  | "idle"
  | "chosen"
  | "preparing"
  | "sending"
  | "processing"
  | "ready"
  | "held"
  | "failed"
  | "confirming"
  | "removing"
  | "removed"
  | "unconfigured";

export type ErrorCode =
  | "empty_file"
  | "unreadable_file"
  | "unsupported_type"
  | "file_too_large"
  | "rejected"
  | "held"
  | "offline"
  | "network"
  | "session_expired"
  | "upload_refused"
  | "server_error"
  | "upload_lost"
  | "still_pending"
  | "unexpected"
  | "no_token";

export type RejectionReason =
  | "not_an_image"
  | "unsupported_format"
  | "too_many_pixels"
  | "truncated"
  | "too_large"
  | "too_many_uploads"
  | "not_allowed"
  | "blocked"
  | "deleted";

export interface Manifest {
  subject: string;
  upload_id: string;
  version: string;
  updated_at: string;
  url: string;
  source: { format: string; width: number; height: number; bytes: number };
  images: { size: number; format: string; url: string; bytes: number }[];
}

/** `fraction` of the bytes sent, 0 to 1; `slow`: processing takes longer than a minute. */
export interface Progress {
  stage: "preparing" | "sending" | "processing";
  fraction: number;
  slow: boolean;
}

/** A square of the upright photo: `x` in fractions of its width, `y` of its height, `size` of its shorter side. */
export interface Crop {
  x: number;
  y: number;
  size: number;
}

/** The events of the element, by name. */
export interface AvatarUploadEventMap {
  "avatar-select": CustomEvent<{ file: File }>;
  "avatar-progress": CustomEvent<Progress>;
  "avatar-ready": CustomEvent<Manifest>;
  "avatar-held": CustomEvent<Record<string, never>>;
  "avatar-rejected": CustomEvent<{ reason: RejectionReason; message: string }>;
  "avatar-error": CustomEvent<{
    code: Exclude<ErrorCode, "rejected" | "held">;
    message: string;
    retry: boolean;
    cause: unknown;
  }>;
  "avatar-cancel": CustomEvent<{ sent: boolean }>;
  "avatar-session-expired": CustomEvent<Record<string, never>>;
  "avatar-removed": CustomEvent<Record<string, never>>;
}

/** The attributes of the element in HTML or JSX. */
export interface AvatarUploadAttributes {
  "api-url"?: string;
  "token-callback"?: string;
  src?: string;
  alt?: string;
  accept?: string;
  original?: boolean;
  disabled?: boolean;
  "no-remove"?: boolean;
}

export class AvatarUpload extends HTMLElement {
  readonly state: State;
  get getToken(): GetToken | null;
  set getToken(getToken: GetToken | null);
  get messages(): Readonly<Record<MessageName, string>>;
  set messages(messages: Partial<Record<MessageName, string>>);
  apiUrl: string;
  get src(): string;
  set src(url: string | null | undefined);
  alt: string;
  accept: string;
  tokenCallback: string;
  original: boolean;
  disabled: boolean;
  noRemove: boolean;
  /** Opens the file dialog. Browsers allow this only in a handler of a click or key. */
  open(): void;
  /** Cancels the current choice, upload or removal and shows the current avatar. */
  reset(): void;

  addEventListener<Name extends keyof AvatarUploadEventMap>(
    name: Name,
    listener: (this: AvatarUpload, event: AvatarUploadEventMap[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<Name extends keyof HTMLElementEventMap>(
    name: Name,
    listener: (this: AvatarUpload, event: HTMLElementEventMap[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Name extends keyof AvatarUploadEventMap>(
    name: Name,
    listener: (this: AvatarUpload, event: AvatarUploadEventMap[Name]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener<Name extends keyof HTMLElementEventMap>(
    name: Name,
    listener: (this: AvatarUpload, event: HTMLElementEventMap[Name]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

export class UploadError extends Error {
  readonly code: ErrorCode;
  readonly reason?: RejectionReason;
  readonly maxBytes?: number;
  readonly retry: boolean;
}

export interface UploadOptions {
  apiUrl: string;
  getToken: GetToken;
  crop?: Crop | null;
  /** Sends the file as it is. Default: shrunk, if the browser can decode it. */
  original?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

/** Uploads a file as the user's avatar. Rejects with an `UploadError`, or with the reason of `signal`. */
export function uploadAvatar(file: File, options: UploadOptions): Promise<Manifest>;

/** Removes the user's avatar, if there is one. Rejects with an `UploadError`, or with the reason of `signal`. */
export function removeAvatar(options: Pick<UploadOptions, "apiUrl" | "getToken" | "signal">): Promise<void>;

export function failureSentence(
  error: UploadError,
  options?: {
    messages?: Readonly<Record<MessageName, string>>;
    language?: string;
    size?: number;
    removal?: boolean;
  },
): string;

export const ENGLISH: Readonly<Record<MessageName, string>>;

export type MessageName =
  | "label"
  | "alt"
  | "noPicture"
  | "preview"
  | "choose"
  | "change"
  | "takePhoto"
  | "remove"
  | "use"
  | "chooseAnother"
  | "retry"
  | "cancel"
  | "removalQuestion"
  | "confirmRemoval"
  | "keep"
  | "cropArea"
  | "cropControls"
  | "cropByPointer"
  | "cropByKeys"
  | "moveLeft"
  | "moveUp"
  | "moveDown"
  | "moveRight"
  | "zoom"
  | "resetCrop"
  | "placed"
  | "hint"
  | "chosen"
  | "chosenUnseen"
  | "preparing"
  | "sending"
  | "sent"
  | "processing"
  | "slow"
  | "ready"
  | "held"
  | "removing"
  | "removed"
  | "cancelled"
  | "cancelledAfterSending"
  | "empty_file"
  | "unreadable_file"
  | "unsupported_type"
  | "file_too_large"
  | "file_too_large_limit"
  | "rejected"
  | "rejected_not_an_image"
  | "rejected_unsupported_format"
  | "rejected_too_many_pixels"
  | "rejected_truncated"
  | "rejected_too_large"
  | "rejected_too_many_uploads"
  | "rejected_not_allowed"
  | "rejected_blocked"
  | "rejected_deleted"
  | "offline"
  | "network"
  | "session_expired"
  | "upload_refused"
  | "server_error"
  | "upload_lost"
  | "still_pending"
  | "unexpected"
  | "no_token"
  | "unconfigured"
  | "removal_offline"
  | "removal_unexpected"
  | "removal_no_token";

declare global {
  interface HTMLElementTagNameMap {
    "avatar-upload": AvatarUpload;
  }
}
