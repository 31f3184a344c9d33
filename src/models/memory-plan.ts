/** Bytes of memory, of the machine and of its GPUs. */
export interface Room {
  readonly ram: number;
  /** Of all GPUs together. */
  readonly vram: number;
  /** Of it, on each GPU by its number; absent where there is one, or none. */
  readonly perGpu?: readonly number[];
}

/** Where a model is, as the one who counts its memory sees it. */
export type Residence = 'away' | 'coming' | 'here' | 'leaving' | 'failed';

/** A model and who wants it, at one moment. Times are monotonic milliseconds. */
export interface Tenant {
  readonly id: string;
  readonly residence: Residence;
  /** What it takes or would take: measured where it ever ran, else estimated. */
  readonly needs: Room;
  readonly inService: boolean;
  readonly pinned: boolean;
  /** Answers under way. */
  readonly answering: number;
  /** Requests that wait for it, and since when the first does. */
  readonly waiting: number;
  readonly waitingSince: number;
  /** It should come: an admin said so, or the gateway starts. `free`: only where nobody has to go for it. */
  readonly called: 'no' | 'free' | 'room';
  readonly lastUsed: number;
  readonly hereSince: number;
}

export interface PlanRules {
  /** 0: never. */
  readonly idleUnloadMs: number;
  /** So long a request waits for idle models to make room; then busy ones take no more newcomers and end in turn. */
  readonly patienceMs: number;
  /** Who has just come stays so long, whoever waits: two models that fit once only take turns, and do not flap. */
  readonly leastStayMs: number;
}

export interface Plan {
  readonly load: readonly string[];
  /** Idle ones, and why each has to go. */
  readonly evict: readonly {
    readonly id: string;
    readonly why: 'idle' | 'room' | 'budget';
    readonly for: string | null;
  }[];
  /** Busy ones that take no newcomers until somebody else had his turn; every other door is open. */
  readonly closed: readonly string[];
  /** Larger than all there is: can never come. */
  readonly tooLarge: readonly string[];
}

const NOTHING: Room = { ram: 0, vram: 0 };
const plus = (a: Room, b: Room): Room => added(a, b, 1);
const minus = (a: Room, b: Room): Room => added(a, b, -1);
const fits = (needs: Room, room: Room): boolean =>
  needs.ram <= room.ram &&
  needs.vram <= room.vram &&
  (needs.perGpu ?? []).every((bytes, gpu) => bytes <= (room.perGpu?.[gpu] ?? Number.POSITIVE_INFINITY));

function added(a: Room, b: Room, sign: 1 | -1): Room {
  const sum = { ram: a.ram + sign * b.ram, vram: a.vram + sign * b.vram };
  const count = Math.max(a.perGpu?.length ?? 0, b.perGpu?.length ?? 0);
  if (count === 0) return sum;
  const on = ({ perGpu }: Room, gpu: number) => perGpu?.[gpu] ?? 0;
  return { ...sum, perGpu: Array.from({ length: count }, (_, gpu) => on(a, gpu) + sign * on(b, gpu)) };
}

/** Whether there is an excess that would be smaller without these needs. */
const overlaps = (needs: Room, excess: Room): boolean =>
  (excess.ram > 0 && needs.ram > 0) ||
  (excess.vram > 0 && needs.vram > 0) ||
  (excess.perGpu ?? []).some((bytes, gpu) => bytes > 0 && (needs.perGpu?.[gpu] ?? 0) > 0);

const takesRoom = ({ needs }: Tenant): boolean => needs.ram > 0 || needs.vram > 0;
const sum = (tenants: readonly Tenant[]): Room => tenants.reduce((room, { needs }) => plus(room, needs), NOTHING);

/**
 * What to do now, so that all that is in memory stays within the budget.
 *
 * - MUST NOT evict a model that is pinned, loading or answering.
 * - MUST NOT evict anything that makes no room for anybody, nor more than is needed.
 * - Whoever cannot be helped now does not stand before those who can; but the room he was promised is kept for him.
 */
export function plan(tenants: readonly Tenant[], budget: Room, rules: PlanRules, now: number): Plan {
  const present = tenants.filter(({ residence }) => ['coming', 'here', 'leaving'].includes(residence));
  const leaving = present.filter(({ residence }) => residence === 'leaving');
  const gone = new Map<string, Plan['evict'][number]>();
  const closed = new Set<string>();
  const load: string[] = [];
  const tooLarge: string[] = [];

  const isIdle = (tenant: Tenant) => tenant.answering === 0 && tenant.waiting === 0;
  const mayGo = (tenant: Tenant) =>
    tenant.residence === 'here' &&
    !tenant.pinned &&
    takesRoom(tenant) &&
    !gone.has(tenant.id) &&
    !closed.has(tenant.id);
  const evict = (id: string, why: 'idle' | 'room' | 'budget', whom: string | null) =>
    void gone.set(id, { id, why, for: whom });

  const idle = present.filter((tenant) => mayGo(tenant) && isIdle(tenant)).toSorted((a, b) => a.lastUsed - b.lastUsed);
  if (rules.idleUnloadMs > 0)
    for (const { id, lastUsed } of idle) if (now - lastUsed >= rules.idleUnloadMs) evict(id, 'idle', null);
  // Measured to be more than was thought: those that nobody uses make up for it.
  let excess = minus(
    sum(present.filter(({ id }) => !gone.has(id)).filter((tenant) => !leaving.includes(tenant))),
    budget,
  );
  for (const { id, needs } of idle.filter(mayGo)) {
    // Whoever lies elsewhere, on another GPU say, makes up for nothing.
    if (!overlaps(needs, excess)) continue;
    evict(id, 'budget', null);
    excess = minus(excess, needs);
  }

  /** Free now; and free when those who go have gone. Both less what was promised to others. */
  let free = minus(budget, sum(present));
  let coming = plus(free, plus(sum(leaving), sum(present.filter(({ id }) => gone.has(id)))));
  for (const tenant of inTurn(tenants)) {
    const { id, needs } = tenant;
    if (!fits(needs, budget)) {
      tooLarge.push(id);
      continue;
    }
    if (fits(needs, free)) {
      load.push(id);
      free = minus(free, needs);
      coming = minus(coming, needs);
      continue;
    }
    if (!fits(needs, coming)) {
      if (tenant.called === 'free' && tenant.waiting === 0) continue;
      const victims = findVictims(tenant, coming);
      if (victims === null) continue;
      for (const victim of victims) {
        if (victim.answering === 0) evict(victim.id, 'room', id);
        else closed.add(victim.id);
        coming = plus(coming, victim.needs);
      }
    }
    // Promised: neither what is free now nor what becomes free is given to somebody who came later.
    free = minus(free, needs);
    coming = minus(coming, needs);
  }
  return { load, evict: [...gone.values()], closed: [...closed], tooLarge };

  /** Idle ones, least recently used first; where they do not suffice and it was long enough, busy ones too. */
  function findVictims(tenant: Tenant, room: Room): Tenant[] | null {
    const patient = tenant.waiting === 0 || now - tenant.waitingSince < rules.patienceMs;
    const candidates = present.filter((other) => mayGo(other) && (isIdle(other) || !patient));
    const ordered = candidates
      .filter((other) => isIdle(other) || now - other.hereSince >= rules.leastStayMs)
      .toSorted((a, b) => Number(isIdle(b)) - Number(isIdle(a)) || a.lastUsed - b.lastUsed || a.id.localeCompare(b.id));
    const chosen: Tenant[] = [];
    let found = room;
    for (const other of ordered) {
      if (fits(tenant.needs, found)) break;
      chosen.push(other);
      found = plus(found, other.needs);
    }
    if (!fits(tenant.needs, found)) return null;
    // Whoever turns out not to be needed stays.
    for (const other of [...chosen]) {
      const without = minus(found, other.needs);
      if (!fits(tenant.needs, without)) continue;
      chosen.splice(chosen.indexOf(other), 1);
      found = without;
    }
    return chosen;
  }
}

/** Requests before calls, the longest wait first; of calls the pinned first, then as the catalogue has them. */
function inTurn(tenants: readonly Tenant[]): Tenant[] {
  const rank = ({ waiting, called, pinned }: Tenant) => (waiting > 0 ? 0 : called === 'room' ? 1 : pinned ? 2 : 3);
  return tenants
    .filter(({ residence, inService, waiting, called }) => {
      return residence === 'away' && inService && (waiting > 0 || called !== 'no');
    })
    .toSorted((a, b) => rank(a) - rank(b) || (a.waiting > 0 ? a.waitingSince - b.waitingSince : 0));
}
