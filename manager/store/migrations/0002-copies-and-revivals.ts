/** Copies of images that are under way, and parked tasks that the manager itself tries again. */
export const copiesAndRevivals = {
  name: '0002-copies-and-revivals',
  statements: [
    "alter table image_copies add column state text not null default 'ready'",
    'alter table tasks add column parked_at bigint',
    'alter table tasks add column revivals bigint not null default 0',
  ],
} as const;
