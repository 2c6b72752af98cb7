/*
 * The protocol of the ring, for the model checker spin. `ci/spin.sh` runs it.
 *
 * Each shared access of `reorder/src` is one step here, and has the label of its `ORDERING` note
 * as a comment. All accesses are sequentially consistent. `docs/verification.md` says what this
 * adds to the loom models.
 *
 * Macros choose the configuration: BATCHES, COMPLETERS, CALLS (per completer), CANCELS (in all),
 * STOPS (threads that stop for good, in all), SPURIOUS (wake-ups of the consumer without a cause),
 * SIDES (a side may leave early), PER_BATCH (positions), and one seeded fault.
 */

#ifndef BATCHES
#define BATCHES 2
#endif
#ifndef COMPLETERS
#define COMPLETERS 2
#endif
#ifndef CALLS
#define CALLS 2
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef SPURIOUS
#define SPURIOUS 0
#endif
#ifndef PER_BATCH
#define PER_BATCH 2
#endif

#define CAPACITY  2
#define POSITIONS (BATCHES * PER_BATCH)
#define NONE      255

/* A tag is a generation and a state. */
#define VACANT   0
#define WAITED   1
#define WRITING  2
#define EVICTING 3
#define READY    4
#define EVICTED  5
#define TAG(position, state) (((position) / CAPACITY) * 8 + (state))
#define NEXT_VACANT(position) (((position) / CAPACITY + 1) * 8 + VACANT)
#define SLOT(position) ((position) % CAPACITY)
#define GENERATION(tag) ((tag) / 8)
#define STATE(tag) ((tag) % 8)
#define IS_CLAIMED(tag) (STATE(tag) == WRITING || STATE(tag) == EVICTING)

/* The shared words. */
byte tags[CAPACITY];
byte values[CAPACITY];             /* 0, or the position plus one */
byte head, tail, base;
bool ended;
byte wanted = NONE;

/* The batch state: one word, so every step reads or changes it as a whole. */
bool busy, producer_side, consumer_side, cancelled, orphaned;
byte number;

/* The waker cells, and whether the sleeping thread was woken. */
bool consumer_waker, producer_waker;
bool consumer_woken, producer_woken;

/* What the checks need. The program has none of these. */
byte issued;                       /* tickets below this position were handed out */
byte opened;                       /* the batch whose consumer may begin */
byte accepted, evicted, delivered, dropped; /* a bit per position */
byte first_of_batch;               /* the first position of the open batch */
byte stops = STOPS;
byte cancels = CANCELS;
byte spurious = SPURIOUS;
bool consumer_asleep, producer_asleep;
bool opener_waits;
bool checked;
byte waker_stopped_at = NONE;      /* the position whose completer stopped before it woke */

#define BIT(position) (1 << (position))
#define HAS(set, position) (((set) & BIT(position)) != 0)

#if STOPS > 0
inline stop_here() {
    if
    :: atomic { stops > 0 -> stops-- }; goto stopped
    :: skip
    fi
}
#else
#define stop_here() skip
#endif

/* `WakerCell::wake` of each cell. */
#define WAKE_CONSUMER d_step { if :: consumer_waker -> consumer_waker = false; consumer_woken = true \
                                  :: else fi }
#define WAKE_PRODUCER d_step { if :: producer_waker -> producer_waker = false; producer_woken = true \
                                  :: else fi }

inline claimed_for_value(position) {
    assert(!HAS(accepted, position) && !HAS(evicted, position) && !HAS(delivered, position));
    assert(!HAS(dropped, position));
    accepted = accepted | BIT(position)
}

inline claimed_for_gap(position) {
    assert(!HAS(accepted, position) && !HAS(evicted, position));
    evicted = evicted | BIT(position)
}

/* The CAS found another tag, so the call is refused. The reason must be true. */
inline refused() {
    assert(GENERATION(seen) >= position / CAPACITY); /* never `Unreserved` */
    if
    :: GENERATION(seen) > position / CAPACITY && position < base ->
       /* `Stale`: its batch is over, or its consumer leaves. */
       assert(position < first_of_batch || cancelled || !consumer_side)
    :: GENERATION(seen) > position / CAPACITY && position >= base ->
       /* `Settled`: it was taken. */
       assert(HAS(delivered, position))
    :: GENERATION(seen) == position / CAPACITY && (STATE(seen) == EVICTED || STATE(seen) == EVICTING) ->
       assert(HAS(evicted, position))
    :: GENERATION(seen) == position / CAPACITY && (STATE(seen) == WRITING || STATE(seen) == READY) ->
       /* `Duplicate` */
       assert(HAS(accepted, position))
    :: else
    fi
}

/* A thread that completes or evicts positions. It has the ticket of every issued position, and may
   use a ticket as often as it likes. */
proctype Completer() {
    byte position, seen;
    byte calls = CALLS;
    bool evicts, has_waker, waited, claimed;

    do
    :: calls == 0 -> break
    :: atomic { calls > 0 && issued > 0 ->
        calls--;
        /* Any position whose ticket was handed out, now or long ago. */
        do
        :: position + 1 < issued -> position++
        :: break
        od;
        if
        :: evicts = false
        :: evicts = true
        fi;
#ifdef CLAIM_IN_TWO_STEPS
        seen = tags[SLOT(position)]
       };
       atomic {
#endif
        /* complete:claim, leave_gap:cas */
#ifndef CLAIM_IN_TWO_STEPS
        seen = tags[SLOT(position)];
#endif
        if
        :: seen == TAG(position, VACANT) && !evicts ->
           tags[SLOT(position)] = TAG(position, WRITING);
           claimed_for_value(position);
           claimed = true
        :: seen == TAG(position, VACANT) && evicts ->
           tags[SLOT(position)] = TAG(position, EVICTED);
           claimed_for_gap(position)
        :: seen == TAG(position, WAITED) -> waited = true
        :: else -> refused()
        fi
       };

       if
       :: waited ->
          stop_here();
          atomic { /* complete:claim, of a waited slot */
            seen = tags[SLOT(position)];
            if
            :: seen == TAG(position, WAITED) && !evicts ->
               tags[SLOT(position)] = TAG(position, WRITING);
               claimed_for_value(position);
               claimed = true
            :: seen == TAG(position, WAITED) && evicts ->
#ifdef EVICTED_POSITION_IS_A_DUPLICATE
               tags[SLOT(position)] = TAG(position, WRITING);
#else
               tags[SLOT(position)] = TAG(position, EVICTING);
#endif
               claimed_for_gap(position);
               claimed = true
            :: else -> waited = false; refused()
            fi
          }
       :: else
       fi;

       if
       :: claimed ->
#ifndef WAKER_TAKEN_AFTER_PUBLISH
          if
          :: waited -> stop_here(); d_step { has_waker = consumer_waker; consumer_waker = false }
          :: else
          fi;
#endif
          stop_here();
          atomic { /* publish:store. Nobody reads the value before. */
            if
            :: !evicts ->
               assert(tags[SLOT(position)] == TAG(position, WRITING));
               assert(values[SLOT(position)] == 0);
               values[SLOT(position)] = position + 1;
               tags[SLOT(position)] = TAG(position, READY)
            :: evicts ->
               assert(IS_CLAIMED(tags[SLOT(position)]) && GENERATION(tags[SLOT(position)]) == position / CAPACITY);
               tags[SLOT(position)] = TAG(position, EVICTED)
            fi
          };
#ifdef WAKER_TAKEN_AFTER_PUBLISH
          if
          :: waited -> stop_here(); d_step { has_waker = consumer_waker; consumer_waker = false }
          :: else
          fi;
#endif
          if
          :: has_waker ->
#if STOPS > 0
             if
             :: atomic { stops > 0 -> stops--; waker_stopped_at = position }; goto stopped
             :: skip
             fi;
#endif
             consumer_woken = true
          :: else
          fi
       :: else
       fi;
       /* No history in the locals: equal states are equal. */
       d_step { position = 0; seen = 0; evicts = false; has_waker = false; waited = false; claimed = false }
    od;
stopped:
    skip
}

/* `Slot::close` for the positions from `first` to below `last`. */
inline sweep(first, last) {
    orphan = NONE;
    at = first;
    do
    :: at >= last -> break
    :: at < last ->
       word = tags[SLOT(at)]; /* take:load */
       if
       :: word == TAG(at, READY) || word == TAG(at, EVICTED) ->
          if
          :: word == TAG(at, READY) ->
             d_step {
                assert(values[SLOT(at)] == at + 1);
                assert(!HAS(delivered, at) && !HAS(dropped, at));
                values[SLOT(at)] = 0;
                dropped = dropped | BIT(at)
             }
          :: else
          fi;
          tags[SLOT(at)] = NEXT_VACANT(at); /* take:vacate */
          at++
       :: GENERATION(word) != at / CAPACITY -> at++
       :: GENERATION(word) == at / CAPACITY && IS_CLAIMED(word) ->
#ifdef CLOSE_FORGETS_ITS_ORPHANS
          skip;
#else
          if
          :: orphan == NONE -> orphan = at
          :: else
          fi;
#endif
#ifdef CLOSE_TAKES_BACK_A_MID_WRITE
          tags[SLOT(at)] = NEXT_VACANT(at);
#endif
          at++
       :: word == TAG(at, VACANT) || word == TAG(at, WAITED) ->
          atomic { /* close:revoke */
            if
            :: tags[SLOT(at)] == word -> tags[SLOT(at)] = NEXT_VACANT(at); at++
            :: else /* once more */
            fi
          }
       fi
    od
}

/* `Closing`: `first` to `last` are the positions of the window. */
inline close_batch(first, last) {
    sweep(first, last);
    skip;
    d_step { /* peek:load, clear_waited:store: no other thread can change this slot */
        if
        :: tags[SLOT(last)] == TAG(last, WAITED) -> tags[SLOT(last)] = TAG(last, VACANT)
        :: else
        fi
    };
#ifdef CLOSED_BEFORE_THE_WAKERS
    d_step { busy = false; cancelled = false; orphaned = (orphan != NONE) };
#endif
    consumer_waker = false;
    d_step { wanted = NONE; producer_waker = false }; /* close:space; nobody reads between */
    head = (orphan != NONE -> orphan : last); /* close:head */
    ended = false;                            /* close:end */
#ifndef CLOSED_BEFORE_THE_WAKERS
    d_step { busy = false; cancelled = false; orphaned = (orphan != NONE) } /* batch:close */
#endif
}

/* `SideGuard`: the side that leaves last closes the batch. */
#ifdef FIRST_SIDE_CLOSES
#define LAST_SIDE(other) (other)
#else
#define LAST_SIDE(other) (!(other))
#endif

inline leave(own, other) {
    atomic { /* batch:leave */
        own = false;
        last_side = LAST_SIDE(other)
    };
    if
    :: last_side ->
       /* No side is left, so no other thread writes these two. */
       d_step { from = head; to = tail };
#ifndef BASE_AFTER_THE_SWEEP
       base = to;
#endif
       close_batch(from, to);
#ifdef BASE_AFTER_THE_SWEEP
       base = to;
#endif
    :: else
    fi
}

proctype Producer() {
    byte batches = 0, reserved, seen;
    byte at, word, orphan, from, to;
    bool last_side, found;
    bool tried;

    do
    :: batches == BATCHES -> break
    :: batches < BATCHES ->
       /* `open`. While an orphan is written, one attempt collects nothing; further attempts would
          be the same. */
       opener_waits = true;
       tried = false;
       do
       :: !busy && orphaned && (!tried || (!IS_CLAIMED(tags[0]) && !IS_CLAIMED(tags[1]))) ->
          atomic { busy = true; orphaned = false; tried = true }; /* batch:open */
          d_step { from = head; to = base };
          close_batch(from, to)
       :: atomic { !busy && !orphaned -> /* batch:open */
            busy = true; producer_side = true; consumer_side = true; number++;
            first_of_batch = tail; opener_waits = false
          };
          break
       od;
       skip;
       tried = false;
       batches++;
       d_step {
          assert(head == tail && base == tail);
          assert(!cancelled && !ended && wanted == NONE);
          assert(!consumer_waker && !producer_waker);
          opened = number
       };

       /* The batch. */
       reserved = 0;
       do
       :: reserved == PER_BATCH -> break
#ifdef SIDES
       :: reserved < PER_BATCH -> break /* leaves early */
#endif
       :: reserved < PER_BATCH ->
          stop_here();
          if
          :: cancelled || !consumer_side -> break /* batch:hint, batch:cancelled */
          :: !(cancelled || !consumer_side) -> skip
          fi;
          /* reserve:head */
          if
          :: tail - head < CAPACITY ->
             d_step { /* reserve:tail; the ticket leaves afterwards */
                assert(tail - head < CAPACITY);
                assert(GENERATION(tags[SLOT(tail)]) == tail / CAPACITY);
                assert(STATE(tags[SLOT(tail)]) == VACANT || STATE(tags[SLOT(tail)]) == WAITED);
                tail++
             };
             d_step { issued = tail; reserved++ }
          :: tail - head >= CAPACITY ->
             /* `request_space` */
             producer_waker = true;
             wanted = tail + 1 - CAPACITY; /* space:announce */
             found = false;
#ifndef SPACE_NOT_CHECKED_AGAIN
#ifndef CANCELLATION_NOT_CHECKED_AGAIN
             if
             :: cancelled || !consumer_side -> found = true
             :: !(cancelled || !consumer_side) -> skip
             fi;
#endif
             if
             :: tail - head < CAPACITY -> found = true
             :: tail - head >= CAPACITY -> skip
             fi;
#endif
             if
             :: found -> wanted = NONE /* space:withdraw */
             :: !found ->
                producer_asleep = true;
                atomic { producer_woken -> producer_woken = false; producer_asleep = false }
             fi;
             found = false
          fi
       od;

       /* The drop of the producer. */
       stop_here();
       ended = true; /* finish:end */
       stop_here();
       if
       :: tags[SLOT(tail)] == TAG(tail, WAITED) ->
#ifndef END_WAKES_NOBODY
          WAKE_CONSUMER
#else
          skip
#endif
       :: tags[SLOT(tail)] != TAG(tail, WAITED) -> skip
       fi;
       stop_here();
       leave(producer_side, consumer_side);
       d_step { reserved = 0; seen = 0; at = 0; word = 0; orphan = 0; from = 0; to = 0; last_side = false }
    od;
stopped:
    skip
}

inline deliver() {
    head = position + 1; /* take:head */
    stop_here();
    seen = wanted; /* space:look, space:wanted */
    if
    :: seen <= position + 1 ->
       atomic { /* space:notify */
          if
          :: wanted == seen -> wanted = NONE; met = true
          :: else -> met = false
          fi
       };
       if
       :: met -> WAKE_PRODUCER
       :: else
       fi
    :: else
    fi;
    met = false
}

proctype Consumer() {
    byte batches = 0, position, seen, own_number;
    byte at, word, orphan, from, to;
    bool last_side, met;
    bool over;

    do
    :: batches == BATCHES -> break
    :: batches < BATCHES ->
       atomic { opened == batches + 1 -> position = first_of_batch; own_number = opened };
       batches++;
       over = false;

       do
       :: over -> break
#ifdef SIDES
       :: !over -> break /* leaves early */
#endif
       :: !over ->
          stop_here();
          seen = tags[SLOT(position)]; /* take:load */
          if
          :: seen == TAG(position, READY) || seen == TAG(position, EVICTED) ->
             if
             :: seen == TAG(position, READY) ->
                d_step {
                   assert(position >= first_of_batch && number == own_number);
                   assert(values[SLOT(position)] == position + 1);
                   assert(HAS(accepted, position) && !HAS(delivered, position));
                   assert(!HAS(dropped, position));
                   values[SLOT(position)] = 0
                };
                stop_here()
             :: else -> assert(HAS(evicted, position) && !HAS(delivered, position))
             fi;
             d_step { delivered = delivered | BIT(position); tags[SLOT(position)] = NEXT_VACANT(position) }; /* take:vacate */
             stop_here();
             deliver();
             position++
          :: else ->
             /* `end_or_pending` */
             if
             :: ended -> /* end:load */
                if
                :: tail == position -> over = true
                :: tail != position -> skip
                fi
             :: !ended -> skip
             fi;
             if
             :: !over && cancelled -> over = true /* its values are dropped by the close */
             :: !over && !cancelled ->
                /* `prepare_wait` */
                seen = tags[SLOT(position)]; /* peek:load */
                if
                :: seen == TAG(position, VACANT) || seen == TAG(position, WAITED) ->
#ifndef REGISTERED_AFTER_THE_MARK
                   consumer_waker = true;
                   stop_here();
#endif
                   atomic { /* mark_waited:cas */
                      seen = tags[SLOT(position)];
                      if
                      :: seen == TAG(position, VACANT) -> tags[SLOT(position)] = TAG(position, WAITED)
                      :: else
                      fi
                   };
                   stop_here();
#ifdef REGISTERED_AFTER_THE_MARK
                   consumer_waker = true;
#endif
                   if
                   :: seen == TAG(position, VACANT) || seen == TAG(position, WAITED) ->
                      met = true;
#ifndef END_NOT_CHECKED_AGAIN
                      if
                      :: ended -> if :: tail == position -> met = false :: tail != position -> skip fi
                      :: !ended -> skip
                      fi;
#endif
#ifndef CANCELLATION_NOT_CHECKED_AGAIN
                      if
                      :: cancelled -> met = false
                      :: !cancelled -> skip
                      fi;
#endif
                      if
                      :: met ->
                         consumer_asleep = true;
                         if
                         :: atomic { consumer_woken -> consumer_woken = false; consumer_asleep = false }
                         :: atomic { spurious > 0 -> spurious--; consumer_asleep = false }
                         fi
                      :: !met -> skip
                      fi;
                      met = false
                   :: else
                   fi
                :: IS_CLAIMED(seen) ->
                   /* It looks again after a pause. Until the completer has published or the batch
                      is cancelled, each look finds the same. */
                   (!IS_CLAIMED(tags[SLOT(position)]) || cancelled)
                :: else
                fi
             :: over -> skip
             fi
          fi
       od;

       /* The drop of the consumer. */
       stop_here();
       if
       :: producer_side -> /* batch:has-side */
          atomic { /* batch:cancel */
             if
             :: number == own_number && (producer_side || consumer_side) && !cancelled -> cancelled = true
             :: else
             fi
          };
          stop_here();
          to = tail;
          base = to;
          stop_here();
#ifndef LEAVING_WAKES_NO_PRODUCER
          WAKE_PRODUCER;
#endif
          sweep(position, to)
       :: !producer_side -> skip
       fi;
       stop_here();
       leave(consumer_side, producer_side);
       d_step { position = 0; seen = 0; at = 0; word = 0; orphan = 0; from = 0; to = 0; last_side = false; own_number = 0; met = false; over = false }
    od;
stopped:
    skip
}

/* `Canceller::cancel`, for the batch that is open at some instant. It may act in a later batch. */
proctype Canceller() {
    byte own_number;
    bool done;
    do
    :: cancels == 0 -> break
    :: atomic { cancels > 0 && opened > 0 -> cancels--; own_number = opened };
       atomic { /* batch:cancel */
          done = false;
          if
#ifdef CANCEL_IGNORES_THE_BATCH_NUMBER
          :: (producer_side || consumer_side) && !cancelled -> cancelled = true; done = true
#else
          :: number == own_number && (producer_side || consumer_side) && !cancelled -> cancelled = true; done = true
#endif
          :: else
          fi;
          assert(!done || number == own_number)
       };
       if
       :: done ->
          stop_here();
#ifndef CANCEL_WAKES_NO_CONSUMER
          WAKE_CONSUMER;
#endif
          stop_here();
          WAKE_PRODUCER
       :: else
       fi;
       d_step { own_number = 0; done = false }
    od;
stopped:
    skip
}

/* Runs when no other thread can: nobody sleeps beside something to do. */
proctype Watch() {
    atomic {
        timeout;
        checked = true;
        if
        :: stops == STOPS ->
           /* No thread has stopped. */
           if
           :: consumer_asleep ->
              assert(STATE(tags[SLOT(head)]) == WAITED && GENERATION(tags[SLOT(head)]) == head / CAPACITY);
              assert(!cancelled);
              assert(!(ended && head == tail))
           :: else
           fi;
           if
           :: producer_asleep ->
              assert(tail - head == CAPACITY);
              assert(!cancelled && consumer_side)
           :: else
           fi;
           /* A batch that both sides have left was closed, and no value is left in it. */
           if
           :: opener_waits -> assert(busy && consumer_asleep)
           :: else
           fi;
           if
           :: !busy && !orphaned ->
              assert((accepted & ~(delivered | dropped)) == 0)
           :: else
           fi
        :: else ->
           /* A thread has stopped. The others wait for nobody but a thread of their own batch. */
           if
           :: consumer_asleep && STATE(tags[SLOT(head)]) >= READY &&
              GENERATION(tags[SLOT(head)]) == head / CAPACITY -> assert(waker_stopped_at == head)
           :: else
           fi
        fi
    }
}

init {
    byte count = 0;
    atomic {
        do
        :: count < COMPLETERS -> run Completer(); count++
        :: else -> break
        od;
        run Producer();
        run Consumer();
#if CANCELS > 0
        run Canceller();
#endif
        run Watch()
    }
}
