/** How much of something a project may have, and how much it has. */
export interface Quota {
  /** undefined: as much as it likes. */
  readonly limit: number | undefined
  readonly used: number
}

/** Nova's. */
export interface ComputeQuotas {
  readonly instances: Quota
  readonly cores: Quota
  readonly ramMiB: Quota
}

/** Cinder's. Volume snapshots count among the gigabytes as well, unless the cloud is set up otherwise. */
export interface VolumeQuotas {
  readonly volumes: Quota
  readonly snapshots: Quota
  readonly gigabytes: Quota
}
