import type { SchedulerLike } from 'rxjs';
import type { StoreService } from './store-service';

export function bootStore(_scheduler: SchedulerLike): StoreService {
  throw new Error('no store yet');
}
