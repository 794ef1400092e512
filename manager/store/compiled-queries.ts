/**
 * SQL of queries that come again and again, kept for each database engine. Kysely builds, rewrites and compiles a query each time
 * that it is asked, which takes longer than SQLite needs to answer it.
 *
 * Invariant: queries with the same shape differ only in their values, in the same order. A shape that forgets something is
 * refused when the number of values tells it; so a shape names everything else that goes into the SQL.
 */
import { type CompiledQuery, type QueryResult } from 'kysely';
import type { Executor } from './database.ts';

/** Lists of many lengths make many shapes. */
const mostShapes = 2000;

/** By the class of the engine's adapter. */
const known = new Map<unknown, Map<string, CompiledQuery>>();

export type StoredValues = readonly (string | number | null)[];

/** The rows as the database has them, with names in snake_case. `build` is called only for a shape that is not known yet. */
export async function executeShape<R>(
  ex: Executor,
  shape: string,
  values: StoredValues,
  build: () => { compile(): CompiledQuery },
): Promise<QueryResult<R>> {
  const executor = ex.getExecutor();
  const compiled = compiledOf(executor.adapter.constructor, shape, build);
  if (compiled.parameters.length !== values.length) {
    throw new Error(`A query of the shape ${shape} takes ${compiled.parameters.length} values, not ${values.length}`);
  }
  return await executor.withoutPlugins().executeQuery<R>({ ...compiled, parameters: values });
}

function compiledOf(engine: unknown, shape: string, build: () => { compile(): CompiledQuery }): CompiledQuery {
  let ofEngine = known.get(engine);
  if (ofEngine === undefined) {
    ofEngine = new Map();
    known.set(engine, ofEngine);
  }
  const found = ofEngine.get(shape);
  if (found !== undefined) return found;
  if (ofEngine.size >= mostShapes) ofEngine.clear();
  const made = build().compile();
  ofEngine.set(shape, made);
  return made;
}
