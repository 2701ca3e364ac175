/**
 * Reports the progress of one part of a transfer, such as a layer or a manifest. `id` identifies
 * the part. `current` and `total` are bytes.
 */
export type TransferReport = (status: {
  readonly id: string;
  readonly name: string;
  readonly current: number;
  readonly total: number;
}) => void;
