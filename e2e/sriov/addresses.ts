/** Of the virtio NICs that `main.ts` gives the machine; inside they are found by them. */
export const wireMac = '52:54:00:00:00:29';
export const guestMac = '52:54:00:00:00:2a';
export const tapMac = '52:54:00:00:00:2b';
export const peerMac = '52:54:00:00:00:2c';
