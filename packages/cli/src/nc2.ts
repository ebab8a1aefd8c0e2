#!/usr/bin/env node
import { main } from './program';
import { processTerminal } from './terminal';

process.exitCode = await main(process.argv.slice(2), processTerminal());
