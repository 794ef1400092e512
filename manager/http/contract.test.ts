/** The whole contract on SQLite; see `testing/contract-suite.ts`. */
import { contractSuite } from './testing/contract-suite.ts';

contractSuite('sqlite');
