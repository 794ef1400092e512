/** Good requests of the whole contract on PostgreSQL; see `testing/contract-suite.ts`. */
import { contractSuite } from './testing/contract-suite.ts';

contractSuite('postgres');
