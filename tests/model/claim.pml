/* The claim protocol: how a task goes from the parent to a worker and back, and how it survives the
 * death of that worker at any step.
 *
 * One Promela step is one atomic access to shared memory that others can notice, or one system call.
 * A loop "load, CAS, again if it failed" is one step where a failed round leaves no trace.  Spin
 * takes the steps of all processes in every order, so a paused or slow worker needs no process of
 * its own: it is one that is not scheduled.  One that is stopped for good is the feature STOPS.
 *
 * Sizes and features come from -D; run.py holds the configurations that are checked.
 *   SLOTS TASKS RING CRASHES KILLS STOPS RETRIES LIMITS   sizes and budgets (there are two workers);
 *            LIMITS: how many tasks that have started go over their time limits. Needs KILLS
 *   WAIT NOTIFY CANCEL   what the user's thread may do with a task, in any order
 *   POLICY   spinning, watchdog and sleepers; without it an idle worker sees new hints by itself
 *   BOUNDED  a sleep may end by itself; without it every wake must be earned
 *   LONG     a task does not end while another one waits: idle workers must join by themselves
 *   REHINT   a waiter whose bounded wait ends hints its READY slot again
 *   LIVENESS the formula at the end
 *   M_...    a mutant: one rule of the protocol is broken, and the checker must notice
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef TASKS
#define TASKS 3
#endif
#ifndef RING
#define RING 4
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef LIMITS
#define LIMITS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef RETRIES
#define RETRIES 0
#endif
#ifdef M_ONE_BIT_GENERATION
#define SAME(a, b) (((a) & 1) == ((b) & 1))
#else
#define SAME(a, b) ((a) == (b))
#endif

#define FREE 0
#define READY 1
#define CLAIMED 2
#define KILL 3
#define DONE 4
#define CRASHED 5
#define CANCELLED 6
#define FINAL(i) (state[i] >= DONE)

/* ---- the region ---- */
/* The state word of a slot: these five change together, in one step. */
byte state[SLOTS];
bool waiter[SLOTS];
bool notify[SLOTS];
byte owner[SLOTS];      /* worker + 1, of the last claim */
byte generation[SLOTS]; /* compared with SAME only */

byte started[SLOTS]; /* generation that was started last, 0 none */
byte outcome[SLOTS]; /* task + 1 that wrote it */
byte below[SLOTS];   /* slot + 1 below this one on a done-stack */
byte top[2];         /* slot + 1, the done-stack of each worker */

chan ring = [RING] of { byte }; /* hints: generation * SLOTS + slot */

bool armed; /* someone is about to sleep on the doorbell */
bool rung;  /* the doorbell changed since it was read last */
#ifdef POLICY
byte spinning; /* worker + 1 */
byte watchdog;
bool asleep[2];
bool fx[2];     /* the futex of each worker */
bool queued[2]; /* the kernel's side of it: that worker sleeps on fx */
bool moved;     /* the head moved since the watchdog looked last */
#endif

/* ---- private to the parent ---- */
bool mutex;
byte task_of[SLOTS];
byte hinted[SLOTS];  /* hints of this generation that the head has not passed */
bool pending[SLOTS]; /* taken from a done-stack, or by the sweep; counts once its word is final */
byte sleeps_on;      /* the user's thread: slot + 1, SLOTS + 1 the doorbell, 0 awake */
#if LIMITS > 0
bool overrun[SLOTS]; /* the KILL in the word is that of a time limit */
#endif
bool dead[2];        /* proof of death; cleared when the next incarnation starts */

/* ---- the checker's own book ---- */
byte crashes = CRASHES;
#if KILLS > 0
byte kills = KILLS;
byte kill_task[2]; /* SIGKILL on its way: task + 1 that it is meant for */
bool killed[TASKS];
bool asked[TASKS];   /* a cancel(kill_running) has returned true */
#if LIMITS > 0
byte limits = LIMITS;
#endif
#define CAN_DIE (crashes > 0 || kill_task[me])
#else
#define CAN_DIE (crashes > 0)
#endif
#if STOPS > 0
byte stops = STOPS;
byte stopped; /* worker + 1 */
#define MAY_STOP :: stops > 0 -> stops--; stopped = me + 1; goto halted
#else
#define MAY_STOP
#endif
#if RETRIES > 0
byte retries = RETRIES;
#endif
byte holder[SLOTS]; /* worker + 1 between claim and publish */
byte carries[2];    /* slot + 1 whose hint or claim a worker has */
bool starts[TASKS];
bool resolved[TASKS];
byte submitted;
byte done_count;
#ifdef M_RECLAIM_ON_TIMEOUT
bool timeouts = 1;
#endif

#define BACKLOG (len(ring) > 0)
#if SLOTS == 1
#define SOME_READY (state[0] == READY)
#define EACH_SLOT(x) x(0)
#else
#define SOME_READY (state[0] == READY || state[1] == READY)
#define EACH_SLOT(x) x(0) x(1)
#endif

/* A ring that is full holds hints of cancelled tasks: the parent takes hints as a worker would, and
 * puts back those that are good. */
inline put_hint(i) {
#ifndef M_NO_COMPACTION
#ifdef CANCEL
  do
  :: full(ring) ->
     ring ? hint;
     if
     :: state[hint % SLOTS] == READY && SAME(generation[hint % SLOTS], hint / SLOTS) -> ring ! hint
     :: else
     fi;
     hint = 0
  :: nfull(ring) -> break
  od;
#endif
#endif
  assert(nfull(ring));
  ring ! generation[i] * SLOTS + i;
  hinted[i]++
}

inline wake_user(what) {
  if
  :: sleeps_on == what -> sleeps_on = 0
  :: else
  fi
}

/* Takes a whole done-stack by one exchange and walks it in private. */
inline take_stack(w) {
  k = top[w];
  top[w] = 0;
  n = 0;
  do
  :: k != 0 ->
     assert(n < SLOTS);
     n++;
     pending[k - 1] = 1;
     k = below[k - 1]
  :: else -> break
  od;
  n = 0
}

/* Delivers slot i, whose word was seen final, and frees it. */
inline resolve(i) {
  assert(FINAL(i));
  assert(!resolved[task_of[i]]);
  assert(state[i] != DONE || (outcome[i] == task_of[i] + 1 && starts[task_of[i]]));
#if KILLS > 0
  assert(state[i] != CRASHED || starts[task_of[i]] || killed[task_of[i]]);
#else
  assert(state[i] != CRASHED || starts[task_of[i]]);
#endif
  assert(state[i] != CANCELLED || !starts[task_of[i]]);
  resolved[task_of[i]] = 1;
  done_count++;
  state[i] = FREE;
  waiter[i] = 0;
  notify[i] = 0;
  owner[i] = 0;
  hinted[i] = 0;
  outcome[i] = 0;
  pending[i] = 0;
#if LIMITS > 0
  overrun[i] = 0;
#endif
  task_of[i] = 0
#if !defined(M_FREE_ON_STACK) && !defined(M_PUSH_AFTER_DONE)
  ; below[i] = 0
#endif
#ifndef M_ONE_BIT_GENERATION
  ; started[i] = 0 /* no other generation compares equal to what stood here */
#endif
}

#ifdef POLICY
/* The CAS on the roles that were seen as d1 and d2; `retry` says that they had changed. */
inline appoint() {
  if
  :: spinning != d1 || watchdog != d2 ->
#ifdef M_KICK_GIVES_UP
     who = 0
#else
     retry = 1
#endif
  :: spinning == d1 && watchdog == d2 && d1 == 0 -> spinning = who; as_spinning = 1
  :: spinning == d1 && watchdog == d2 && d1 != 0 && d2 == 0 -> watchdog = who
  :: spinning == d1 && watchdog == d2 && d1 != 0 && d2 != 0 -> who = 0
  fi;
  d1 = 0;
  d2 = 0
}

/* An appointment of a worker that turned out not to sleep is taken back: it may be in a long task. */
inline withdraw() {
#ifndef M_NO_WITHDRAWAL
  if
  :: as_spinning && spinning == who -> spinning = 0
  :: !as_spinning && watchdog == who -> watchdog = 0
  :: else
  fi;
  retry = 1;
#endif
  as_spinning = 0;
  who = 0
}

/* KICK, as the parent does it: it cannot die in between.  who is a sleeper it saw. */
inline parent_kick() {
  do
  :: atomic {
       retry = 0;
       if
       :: BACKLOG && asleep[0] -> who = 1
       :: BACKLOG && asleep[1] -> who = 2
       :: !BACKLOG || (!asleep[0] && !asleep[1]) -> who = 0; break
       fi
     }
     atomic { d1 = spinning; d2 = watchdog }
     atomic {
       appoint();
       if
       :: retry -> who = 0
       :: !retry && who == 0 -> break
       :: else
       fi
     }
     if
     :: who != 0 ->
        atomic {
          if
          :: asleep[who - 1] ->
             asleep[who - 1] = 0;
             fx[who - 1] = 1;
             queued[who - 1] = 0;
             who = 0;
             as_spinning = 0;
             break
          :: else
          fi
        }
        atomic {
          withdraw();
          if
          :: retry
          :: !retry -> break
          fi
        }
     :: else
     fi
  od
}
#endif

/* Death, in place of the step that would have come next. */
inline die() {
#if KILLS > 0
  if
  :: kill_task[me] ->
     /* A SIGKILL meant for one task must not hit another. */
     assert(carries[me] == 0 || task_of[carries[me] - 1] == kill_task[me] - 1);
     kill_task[me] = 0
  :: else -> assert(crashes > 0); crashes--
  fi;
#else
  assert(crashes > 0);
  crashes--;
#endif
  dead[me] = 1;
  carries[me] = 0
#ifdef POLICY
  ; queued[me] = 0
#endif
}

/* One step of a worker; before any of them it may be killed, or stop for good. */
#define STEP atomic { if :: CAN_DIE -> die(); goto died MAY_STOP :: true fi;

proctype Worker(byte me) {
  byte s, g;
  bool pushed, saw_waiter;
#ifdef POLICY
  byte who, d1, d2;
  bool work, retry, as_spinning;
#endif

  /* ---- claim: the head of the ring first, then the word ---- */
end_look:
  atomic {
    if
    :: CAN_DIE -> die(); goto died
    MAY_STOP
    :: BACKLOG ->
       ring ? g;
       s = g % SLOTS;
       g = g / SLOTS;
       if
       :: g == generation[s] && hinted[s] > 0 -> hinted[s]--
       :: else
       fi;
       carries[me] = s + 1
#ifdef POLICY
       ; moved = (watchdog != 0)
    :: !BACKLOG -> goto idle
#endif
    fi
  }
  STEP
    if
    :: state[s] == READY && SAME(generation[s], g) ->
       assert(generation[s] == g);
       assert(holder[s] == 0);
       holder[s] = me + 1;
       state[s] = CLAIMED;
#ifndef M_CLAIM_IN_TWO_STORES
       owner[s] = me + 1
#endif
    :: else -> s = 0; g = 0; carries[me] = 0; goto end_look
    fi
  }
#ifdef M_CLAIM_IN_TWO_STORES
  STEP owner[s] = me + 1 }
#endif

  /* ---- start: the stamp, and from here on the task counts as run ---- */
  STEP
    started[s] = g;
    assert(!starts[task_of[s]]);
    starts[task_of[s]] = 1
  }

  /* ---- run, write the outcome, publish ---- */
publish:
  atomic {
    if
    :: CAN_DIE -> die(); goto died
    MAY_STOP
#ifdef LONG
    :: !SOME_READY || state[s] == KILL
#else
    :: true
#endif
    fi;
    assert(holder[s] == me + 1 && owner[s] == me + 1 && generation[s] == g);
    outcome[s] = task_of[s] + 1;
    if
    :: state[s] == KILL -> goto condemned
#ifndef M_PUSH_AFTER_DONE
    :: state[s] != KILL && notify[s] && !pushed -> skip
    :: state[s] != KILL && (!notify[s] || pushed) ->
#else
    :: state[s] != KILL ->
       pushed = notify[s];
#endif
       saw_waiter = waiter[s];
       state[s] = DONE;
       holder[s] = 0;
       carries[me] = 0;
       g = 0;
       goto published
    fi
  }
  STEP below[s] = top[me]; top[me] = s + 1; pushed = 1 }
  goto publish;
published:
  if
  :: pushed ->
#ifdef M_PUSH_AFTER_DONE
     STEP below[s] = top[me]; top[me] = s + 1 }
#endif
     STEP
       pushed = 0;
       if
       :: armed -> armed = 0
       :: else -> goto wake
       fi
     }
     STEP rung = 1; wake_user(SLOTS + 1) }
  :: else
  fi;
wake:
  if
  :: saw_waiter -> STEP wake_user(s + 1); saw_waiter = 0; s = 0 }
  :: else -> s = 0
  fi;
  goto end_look;

condemned: /* so that the SIGKILL meant for this task cannot hit the next one */
  atomic { CAN_DIE -> die(); goto died }

#ifdef POLICY
  /* ---- no hint: spin for a while, then sleep ---- */
idle:
  STEP
    if
    :: spinning == 0 || spinning == me + 1 ->
       spinning = me + 1;
       if
       :: BACKLOG -> goto end_look
       :: else
       fi
    :: else -> goto lie_down
    fi
  }
  STEP
    if
    :: spinning == me + 1 -> spinning = 0
    :: else
    fi
  }
lie_down:
  STEP fx[me] = 0; asleep[me] = 1 }
#ifndef M_NO_RECHECK
  STEP work = BACKLOG }
#ifndef M_NO_ROLE_RECHECK
  STEP /* was a role given to it that it does not know of? */
    if
    :: spinning == me + 1 || watchdog == me + 1 -> work = 0; goto get_up
    :: else
    fi
  }
#endif
  STEP
    if
    :: work && spinning == 0 -> work = 0; goto get_up
    :: work && spinning != 0 && watchdog == 0 -> work = 0; watchdog = me + 1; goto get_up
    :: else -> work = 0
    fi
  }
#endif
  STEP
    if
    :: !fx[me] -> queued[me] = 1
    :: else -> goto get_up
    fi
  }
end_sleep:
  atomic {
    if
    :: CAN_DIE -> die(); goto died
    MAY_STOP
    :: !queued[me]
#ifdef BOUNDED
    :: queued[me] -> queued[me] = 0
#endif
    fi
  }
get_up:
  STEP
    asleep[me] = 0
  }
  STEP
    if
    :: watchdog == me + 1 -> moved = 0
    :: else -> goto end_look
    fi
  }
  /* ---- watchdog: naps until there is nothing left, or a backlog that nobody works on ---- */
nap:
  STEP
    if
    :: moved -> moved = 0; goto nap
    :: !moved && BACKLOG
    :: !moved && !BACKLOG -> goto resign
    fi
  }
  STEP
    spinning = me + 1;
    if
    :: watchdog == me + 1 -> watchdog = 0
    :: else
    fi
  }
  /* The next one in the chain.  Unlike the parent, this one may die between any two steps. */
next_in_chain:
  STEP
    retry = 0;
    if
    :: len(ring) > 1 && asleep[1 - me] -> who = 2 - me
    :: else -> goto end_look
    fi
  }
  STEP d1 = spinning; d2 = watchdog }
  STEP
    appoint();
    if
    :: retry -> who = 0; goto next_in_chain
    :: !retry && who == 0 -> goto end_look
    :: else
    fi
  }
  STEP
    if
    :: asleep[who - 1] -> asleep[who - 1] = 0
    :: else -> goto take_back
    fi
  }
  STEP fx[who - 1] = 1; queued[who - 1] = 0; who = 0; as_spinning = 0 }
  goto end_look;
take_back:
  STEP
    withdraw();
    if
    :: retry -> goto next_in_chain
    :: else -> goto end_look
    fi
  }
resign:
  STEP
    if
    :: watchdog == me + 1 -> watchdog = 0
    :: else
    fi
  }
  goto end_look;
#endif

died: /* its memory is gone, the seat waits for the next incarnation */
  atomic {
    s = 0;
    g = 0;
    pushed = 0;
    saw_waiter = 0;
#ifdef POLICY
    who = 0;
    d1 = 0;
    d2 = 0;
    work = 0;
    retry = 0;
    as_spinning = 0
#endif
  }
  atomic { !dead[me] -> goto end_look }

#if STOPS > 0
halted:
end_halted:
  false
#endif
}

/* ---- proof of death, sweep, replacement; time limits ---- */
#define STARTED(i) (started[i] && SAME(started[i], generation[i]))
proctype Supervisor() {
  byte w, k, n, hint;

end_watch:
  atomic {
    if
    :: dead[0] && !mutex -> w = 0
    :: dead[1] && !mutex -> w = 1
#ifdef M_RECLAIM_ON_TIMEOUT
    :: timeouts && !mutex -> timeouts = 0; w = 0
    :: timeouts && !mutex -> timeouts = 0; w = 1
#endif
#if LIMITS > 0
#define OVER(i) :: limits > 0 && !mutex && state[i] == CLAIMED && STARTED(i) -> \
                   limits--; mutex = 1; w = i; goto over_limit
    EACH_SLOT(OVER)
#endif
    fi;
    mutex = 1
  }
#ifndef M_NO_SWEEP
#ifdef POLICY
  atomic {
    if
    :: spinning == w + 1 -> spinning = 0
    :: else
    fi;
    if
    :: watchdog == w + 1 -> watchdog = 0
    :: else
    fi
  }
  asleep[w] = 0;
#endif
#ifndef M_STACK_NOT_EMPTIED
  atomic { take_stack(w) }
#endif
#ifdef M_RECLAIM_ON_TIMEOUT
#define PROVEN true
#else
#define PROVEN dead[w]
#endif
#ifdef M_NO_REWAKE
#define REWAKE(i) skip
#else
#define REWAKE(i) wake_user(i + 1)
#endif
#ifdef M_NO_REHINT
#define PASSED(i) false
#else
#define PASSED(i) (state[i] == READY && hinted[i] == 0)
#endif
#ifdef M_STAMP_KEPT
#define CLEAR_STAMP(i) skip
#else
#define CLEAR_STAMP(i) started[i] = 0
#endif
#ifdef M_PENDING_KEPT
#define FORGET_ENTRY(i) skip
#else
#define FORGET_ENTRY(i) pending[i] = 0
#endif
#define FAIL(i) state[i] = CRASHED; pending[i] = notify[i]; REWAKE(i)
#if LIMITS > 0
#define BY_LIMIT(i) overrun[i]
#ifdef M_OVERRUN_KEPT
#define FORGET_LIMIT(i) skip
#else
#define FORGET_LIMIT(i) overrun[i] = 0
#endif
#else
#define BY_LIMIT(i) false
#define FORGET_LIMIT(i) skip
#endif
#if KILLS > 0
#define NOT_ASKED(i) assert(!asked[task_of[i]])
#else
#define NOT_ASKED(i) skip
#endif
#if RETRIES > 0
#define END_OF_STARTED(i) \
  if \
  :: retries > 0 -> \
     retries--; \
     NOT_ASKED(i); \
     FORGET_LIMIT(i); \
     FORGET_ENTRY(i); \
     CLEAR_STAMP(i); \
     starts[task_of[i]] = 0; \
     state[i] = READY; \
     owner[i] = 0; \
     put_hint(i) \
  :: else -> FAIL(i) \
  fi
#else
#define END_OF_STARTED(i) FAIL(i)
#endif
#define SWEEP(i) \
  atomic { \
    if \
    :: state[i] == CLAIMED && owner[i] == w + 1 && !STARTED(i) -> \
       assert(PROVEN); \
       holder[i] = 0; \
       state[i] = READY; \
       owner[i] = 0; \
       put_hint(i) \
    :: state[i] == CLAIMED && owner[i] == w + 1 && STARTED(i) -> \
       assert(PROVEN); \
       holder[i] = 0; \
       END_OF_STARTED(i) \
    :: state[i] == KILL && owner[i] == w + 1 && BY_LIMIT(i) -> \
       assert(PROVEN); \
       holder[i] = 0; \
       END_OF_STARTED(i) \
    :: state[i] == KILL && owner[i] == w + 1 && !BY_LIMIT(i) -> \
       assert(PROVEN); \
       holder[i] = 0; \
       FAIL(i) \
    :: state[i] == DONE && owner[i] == w + 1 -> REWAKE(i) \
    :: PASSED(i) -> put_hint(i) \
    :: else \
    fi \
  }
  EACH_SLOT(SWEEP)
  mutex = 0;
  /* A wake may have died with the one that was to give it, or with the one that got it. */
#ifndef M_NO_REWAKE
  atomic {
    rung = 1;
    wake_user(SLOTS + 1)
#ifdef POLICY
#ifdef M_REWAKE_BY_BITMAP
#define GET_UP(v) \
    if \
    :: asleep[v] -> asleep[v] = 0; fx[v] = 1; queued[v] = 0 \
    :: else \
    fi
#else
#define GET_UP(v) fx[v] = 1; queued[v] = 0
#endif
    ; GET_UP(0);
    GET_UP(1)
#endif
  }
#endif
#else
  mutex = 0;
#endif
  atomic { dead[w] = 0; w = 0 }
  goto end_watch;

#if LIMITS > 0
over_limit: /* under the mutex, the word of slot w was seen CLAIMED */
  atomic {
    if
    :: state[w] == CLAIMED ->
#ifndef M_LIMIT_WITHOUT_STATE
       state[w] = KILL;
#endif
       overrun[w] = 1;
       killed[task_of[w]] = 1;
       k = owner[w];
       n = task_of[w] + 1
    :: else
    fi;
    w = 0
  }
  atomic {
    if
    :: k != 0 && !dead[k - 1] -> kill_task[k - 1] = n
    :: else
    fi;
    k = 0;
    n = 0;
    mutex = 0;
    goto end_watch
  }
#endif
}

/* ---- the user's thread: submits, waits in any order, cancels, kills ---- */
#define PASSED_BY(i) (state[i] == READY && hinted[i] == 0)
#define HINT_AGAIN(i) :: timeout && PASSED_BY(i) -> put_hint(i); goto sleep_on_word
#if STOPS == 0
#define STALLS
#elif defined(REHINT)
#define STALLS :: timeout && !PASSED_BY(0) && !PASSED_BY(1) -> goto stalled
#else
#define STALLS :: timeout -> goto stalled
#endif

proctype User() {
  byte s, k, n, who, d1, d2, hint;
  bool got, retry, as_spinning;

again:
  if
  :: done_count == TASKS -> goto finished

  :: atomic {
       submitted < TASKS && !mutex && state[0] == FREE -> s = 0
SUBMIT:
       generation[s]++;
       state[s] = READY;
       task_of[s] = submitted;
       submitted++;
       put_hint(s);
       s = 0;
       goto kick
     }
#if SLOTS > 1
  :: atomic {
       submitted < TASKS && !mutex && state[0] != FREE && state[1] == FREE -> s = 1; goto SUBMIT
     }
#endif

#ifdef WAIT
#define GET(i) :: atomic { state[i] != FREE -> s = i; goto get }
  EACH_SLOT(GET)
#endif
#ifdef NOTIFY
#define ASK(i) \
  :: atomic { state[i] != FREE && !notify[i] && !FINAL(i) -> notify[i] = 1; goto again } \
  :: atomic { notify[i] && !mutex -> mutex = 1; rung = 0; goto next_done }
  EACH_SLOT(ASK)
#endif
#ifdef CANCEL
#define REVOKE(i) \
  :: atomic { state[i] == READY && !mutex -> state[i] = CANCELLED; resolve(i); goto again }
  EACH_SLOT(REVOKE)
#endif
#if KILLS > 0
#define SHOOT(i) :: atomic { kills > 0 && state[i] == CLAIMED && !mutex -> \
                             mutex = 1; kills--; s = i; goto kill }
  EACH_SLOT(SHOOT)
#if LIMITS > 0
#ifdef M_CANCEL_BESIDE_LIMIT
#define NO_LIMIT_ANY_MORE(i) skip
#else
#define NO_LIMIT_ANY_MORE(i) overrun[i] = 0
#endif
#define TAKE_OVER(i) :: atomic { kills > 0 && state[i] == KILL && !mutex -> kills--; \
                                 NO_LIMIT_ANY_MORE(i); asked[task_of[i]] = 1; goto again }
  EACH_SLOT(TAKE_OVER)
#endif
#endif
  fi;

kick:
#ifdef POLICY
  parent_kick();
#endif
  goto again;

#ifdef WAIT
get: /* one future: sleeps on its word */
  atomic {
    if
    :: FINAL(s) && !mutex -> goto collect
    :: !FINAL(s) && !waiter[s] -> waiter[s] = 1; goto get
    :: !FINAL(s) && waiter[s] -> sleeps_on = s + 1
    fi
  }
sleep_on_word:
  atomic {
    if
    :: sleeps_on == 0
#ifdef BOUNDED
    :: sleeps_on != 0 -> sleeps_on = 0
#endif
#ifdef REHINT
    EACH_SLOT(HINT_AGAIN)
#endif
    STALLS
    fi;
    goto get
  }

collect: /* the word was seen final, and nobody sweeps */
  atomic {
#ifndef M_FREE_ON_STACK
    if
    :: notify[s] && owner[s] != 0 -> take_stack(owner[s] - 1)
    :: else
    fi;
#endif
    resolve(s);
    s = 0;
    goto again
  }
#endif

#ifdef NOTIFY
next_done: /* many futures: empties the done-stacks, sleeps on the doorbell */
#ifndef M_ARM_AFTER_LOOKING
  armed = 1;
#endif
  atomic { take_stack(0) }
  atomic { take_stack(1) }
#ifdef M_ENTRY_COUNTS_UNCHECKED
#define LOOK(i) atomic { if :: pending[i] -> resolve(i); got = 1 :: else fi }
#else
#define LOOK(i) atomic { if :: pending[i] && FINAL(i) -> resolve(i); got = 1 :: else fi }
#endif
  EACH_SLOT(LOOK)
  mutex = 0;
#ifdef M_ARM_AFTER_LOOKING
  armed = 1;
#endif
  atomic {
    if
    :: got -> got = 0; goto again
    :: !got && !rung -> sleeps_on = SLOTS + 1
    :: !got && rung
    fi
  }
  atomic {
    if
    :: sleeps_on == 0
#ifdef BOUNDED
    :: sleeps_on != 0 -> sleeps_on = 0
#endif
    STALLS
    fi
  }
  atomic { !mutex -> mutex = 1; rung = 0; goto next_done }
#endif

#if KILLS > 0
kill: /* under the mutex, the word was seen CLAIMED */
  atomic {
    k = 0;
    if
    :: state[s] == CLAIMED ->
#ifndef M_KILL_WITHOUT_STATE
       state[s] = KILL;
#endif
       k = owner[s];
       killed[task_of[s]] = 1;
       asked[task_of[s]] = 1;
       n = task_of[s] + 1
    :: else
    fi;
    s = 0
  }
  atomic {
    if
    :: k != 0 && !dead[k - 1] -> kill_task[k - 1] = n
    :: else
    fi;
    k = 0;
    n = 0;
    mutex = 0;
    goto again
  }
#endif

#if STOPS > 0
stalled: /* nothing moves any more: only what a stopped worker holds may be unresolved */
  atomic {
#ifdef REHINT
#define HELD(i) assert(state[i] == FREE || FINAL(i) || holder[i] == stopped);
#else
#define HELD(i) assert(state[i] == FREE || FINAL(i) || carries[stopped - 1] == i + 1);
#endif
    EACH_SLOT(HELD)
    goto over
  }
#endif

finished:
  atomic {
#define CLEAN(i) assert(state[i] == FREE && !pending[i] && holder[i] == 0);
    EACH_SLOT(CLEAN)
    assert(top[0] == 0 && top[1] == 0)
  }
over:
  skip
}

init {
  atomic {
    run Worker(0);
    run Worker(1);
    run Supervisor();
    run User()
  }
}

#ifdef LIVENESS
ltl resolves { <> (done_count == TASKS) }
#endif
