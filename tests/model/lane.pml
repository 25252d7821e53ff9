/* One lane: a writer, a reader that settles, and the death of either at every step.
 *
 * Checked by spin (tests/model/CMakeLists.txt): no torn, lost or reordered record, none read twice
 * once settled, no unread cell overwritten, and the sequence that a restarted reader derives is exact.
 *
 * What stands for what
 *   data[]   the lane's data; a record is two cells, each holding sequence + 1 once copied, so that a
 *            reader can tell a torn record (cells that differ) from a whole one. The second cell is
 *            also the trailer: the count that stands before `head`.
 *   head     published by the writer with one release-store.     (LaneWriter::publish)
 *   tail     released by the reader with one release-store.      (LaneReader::release)
 *   seen     the writer's private copy of tail.                  (LaneWriter::tail_seen_)
 *   settled  what the engine has made durable before it releases; it survives the reader's death, as
 *            the stage does. A restarted reader begins at the tail and is told by `settled` what it has
 *            had already.
 * Stores become visible in program order here, as release and acquire promise for the data that they
 * publish. The mutations below break exactly one of the rules each; every one must fail:
 *   -DPUBLISH_BEFORE_COPY   head is stored before the record is copied in
 *   -DRELEASE_BEFORE_SETTLE room is given back before the record is settled
 *   -DIGNORE_TAIL           the writer does not look whether there is room
 */

#define CELLS 4          /* capacity: two records */
#define RECORDS 5        /* enough for two laps and a half */
#define READER_LIVES 3
#define WRITER_LIVES 2

byte data[CELLS];
byte head = 0;           /* positions in cells; they only grow */
byte tail = 0;
byte settled = 0;        /* records: the highest sequence made durable, plus one */
byte published = 0;      /* what the writer knows that it has published: records */
bool writer_is_dead = false;

/* The process dies here, or it does not. */
#define MAY_DIE(lives) if :: lives > 0 -> lives--; goto dies :: true -> skip fi

active proctype writer() {
  byte lives = WRITER_LIVES - 1;
  byte position = 0;
  byte seen = 0;
  byte sequence = 0;
  do
  :: sequence == RECORDS -> break
  :: sequence < RECORDS ->
#ifndef IGNORE_TAIL
     if
     :: position + 2 - seen <= CELLS -> skip
     :: else ->
        seen = tail;
        if
        :: position + 2 - seen <= CELLS -> skip
        :: else -> goto refused
        fi
     fi;
#endif
     MAY_DIE(lives);
#ifdef PUBLISH_BEFORE_COPY
     head = position + 2;
     published = sequence + 1;
#endif
     data[position % CELLS] = sequence + 1;
     MAY_DIE(lives);
     data[(position + 1) % CELLS] = sequence + 1;
     MAY_DIE(lives);
#ifndef PUBLISH_BEFORE_COPY
     d_step { head = position + 2; published = sequence + 1 }   /* one store */
#endif
     MAY_DIE(lives);
     position = position + 2;
     sequence++;
refused:
     skip                /* a full lane is an answer: the record is offered again or dropped */
  od;
dies:
  writer_is_dead = true  /* its successor has a ring of its own: nobody writes here again */
}

active proctype reader() {
  byte lives = READER_LIVES - 1;
  byte position;
  byte sequence;
  byte first;
  byte second;
starts:
  /* LaneReader::recover(): the record at the tail names its sequence, else the trailer before it. */
  position = tail;
  if
  :: head == position && position == 0 -> sequence = 0
  :: head == position && position != 0 -> sequence = data[(position + CELLS - 1) % CELLS];
     if
     :: head != position -> goto starts   /* the head moved while we looked */
     :: else -> skip
     fi
  :: head != position -> sequence = data[position % CELLS] - 1
  fi;
  assert(sequence == position / 2);
  do
  :: head != position ->
     assert(head > position && head - position <= CELLS);
     first = data[position % CELLS];
     MAY_DIE(lives);
     second = data[(position + 1) % CELLS];
     assert(first == second);               /* not torn */
     assert(first == sequence + 1);         /* in order, none lost, none overwritten */
#ifdef RELEASE_BEFORE_SETTLE
     tail = position + 2;
     MAY_DIE(lives);
#endif
     if
     :: sequence + 1 > settled ->
        assert(sequence == settled);        /* settled in order, without a gap */
        settled = sequence + 1
     :: else -> skip                        /* had before the last death: recognised, not counted twice */
     fi;
     MAY_DIE(lives);
#ifndef RELEASE_BEFORE_SETTLE
     assert(settled * 2 >= position + 2);   /* room goes back only for what is settled */
     tail = position + 2;
#endif
     MAY_DIE(lives);
     position = position + 2;
     sequence++
  :: head == position && writer_is_dead -> 
     if
     :: head == position -> break           /* drained to the end */
     :: else -> skip
     fi
  od;
  /* Conservation: everything published was settled exactly once. */
  assert(settled == published && tail == head);
  goto done;
dies:
  goto starts;
done:
  skip
}
