/**
 * How many file accesses can be under way at once in this process. To be imported before all else by a program that must go on when
 * storage hangs: each pool of which it hangs keeps a thread, as does each process that cannot be read. With Node's four, as many
 * of these would stop all the rest: the journal, and the end of VMs whose lease was lost.
 *
 * Node reads it once, at the first of these accesses, which loading the modules of a program does not count among.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '128';
