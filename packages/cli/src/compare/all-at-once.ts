/** Something that was started and has to be stopped. */
export interface Stoppable {
  stop(): Promise<void>;
}

/**
 * Starts one for each of `plans`, lets `use` work with all, and stops every one that was started, however the work and the
 * other stops went.
 *
 * @throws what failed first.
 */
export async function withAll<Plan, Started extends Stoppable, Result>(
  plans: readonly Plan[],
  start: (plan: Plan) => Promise<Started>,
  use: (started: readonly Started[]) => Promise<Result>,
): Promise<Result> {
  const started: Started[] = [];
  const failures: unknown[] = [];
  const attempt = async <Value>(work: () => Promise<Value>): Promise<Value | undefined> => {
    try {
      return await work();
    } catch (error) {
      failures.push(error);
      return undefined;
    }
  };
  const result = await attempt(async () => {
    for (const plan of plans) started.push(await start(plan));
    return await use(started);
  });
  for (const one of started) await attempt(() => one.stop());
  if (failures.length > 0) throw failures[0];
  return result as Result;
}
