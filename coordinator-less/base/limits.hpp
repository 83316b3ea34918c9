// Every bound of the project, each with its reason. Units stand last in the names.
#pragma once

#include <cstddef>
#include <cstdint>

#include "coordinator-less/base/time.hpp"

namespace starling::limits {

// --- links (net)
inline constexpr std::size_t message_bytes_max = 1024 * 1024;   // ZMQ_MAXMSGSIZE: what a stranger can make us allocate at once
inline constexpr std::size_t frame_bytes_max = 256 * 1024;      // one protocol message; longer ones would starve heartbeats
inline constexpr std::size_t frames_queued_max = 256;           // ZeroMQ high-water mark per link and direction
inline constexpr std::size_t frames_received_ahead_max = 60;    // receive high-water mark: that many frames stay below unfinished_bytes_after_hello_max
inline constexpr std::size_t send_budget_bytes = 8 * 1024 * 1024;  // unsent bytes per peer; beyond it frames are dropped
inline constexpr base::Duration hello_timeout = base::seconds(5);  // a silent stranger holds a slot no longer
inline constexpr base::Duration heartbeat_interval = base::seconds(15);
inline constexpr base::Duration heartbeat_timeout = base::seconds(30);
inline constexpr std::size_t unfinished_bytes_before_hello_max = 64 * 1024;        // ahead of what was delivered
inline constexpr std::size_t unfinished_bytes_after_hello_max = 16 * 1024 * 1024;
inline constexpr base::Duration unfinished_check_interval = base::milliseconds(50);
inline constexpr std::size_t inbound_links_max = 256;           // 25 KiB each
inline constexpr std::size_t inbound_links_per_address_max = 64;  // a campus or one machine's development swarm behind one address
inline constexpr std::size_t half_open_links_max = 256;         // accepted, Hello outstanding: descriptors strangers may hold
inline constexpr std::size_t half_open_links_per_address_max = 64;
inline constexpr std::size_t outbound_links_max = 128;          // dialled or being dialled: 2 descriptors and 33 KiB each
inline constexpr base::Duration dial_timeout = base::seconds(10);  // connect, CURVE and Hello together
inline constexpr std::size_t transport_commands_max = 65'536;   // queue from the protocol thread to the sockets
inline constexpr int listen_backlog = 128;
inline constexpr std::uint64_t file_descriptors_wanted = 8192;  // out of descriptors, an accept loop spins at full CPU
inline constexpr std::size_t neighbours_max = 64;               // the full mesh of this floor
inline constexpr std::size_t inbound_events_max = 4096;         // queue between socket and protocol thread

// --- statements (wire, protocol)
inline constexpr std::size_t statement_bytes_max = 16 * 1024;   // gossip body: payloads never ride gossip
inline constexpr std::size_t manifest_bytes_max = 15 * 1024;    // of its body: leaves room for the envelope
inline constexpr std::size_t results_per_batch_max = 96;        // 96 x 152 bytes stays below statement_bytes_max
inline constexpr std::size_t units_per_claim_max = 1024;
inline constexpr std::size_t inputs_per_job_max = 64;
inline constexpr std::size_t arguments_per_job_max = 64;
inline constexpr std::size_t known_peers_max = 256;             // that a manifest names: 9 KiB of its 15
inline constexpr std::size_t name_bytes_max = 256;              // job names, input names, arguments, addresses
inline constexpr std::size_t addresses_per_peer_max = 8;
inline constexpr std::uint32_t units_per_job_max = 65536;       // one shard: sharding comes with the scalable overlay
inline constexpr std::uint32_t items_per_unit_max = 4096;
inline constexpr std::size_t jobs_open_max = 1024;               // of strangers, not ended
inline constexpr std::uint64_t units_open_max = 1ULL << 20;     // of these jobs together: 1.2 KB each once answered twice, 2.5 KB in statements of one result (tests/bench evidence)
inline constexpr std::size_t jobs_max = 4096;                   // of strangers, ended ones included: they stay until they expire
inline constexpr std::uint64_t units_max = 1ULL << 21;          // of these jobs together
inline constexpr std::size_t jobs_per_owner_max = 256;          // not ended
inline constexpr std::size_t statements_per_job_max = 400'000;  // 65,536 units x 5 results, plus replays
inline constexpr std::size_t authors_per_job_max = 4096;
inline constexpr std::uint32_t entries_per_answerer_max = 32;   // of one key about one unit: twice a result and an audit from each of the eight inputs that are answers (evaluation.hpp)
inline constexpr std::size_t claimers_weighed_max = 32;         // a bound on work per claim; beyond them a unit counts as not covered, and is executed once too often
inline constexpr std::uint32_t replays_per_judge_max = 192;     // 3 for each of 64 accused
inline constexpr std::uint32_t fold_units_min = 256;             // of a job, segments counted each: the evidence of fewer costs hardly more than five folds
inline constexpr std::size_t fold_credits_max = 32;             // of one fold: 1.5 KB; a fold is to cost less than a byte a unit of a common job
inline constexpr std::size_t fold_path_max = 16;                // levels over units_per_job_max leaves
inline constexpr std::size_t fold_makers = 5;                   // of a job: three must agree, two may be away
inline constexpr std::size_t folds_agreeing_min = 3;            // distinct keys until a job counts as told
inline constexpr std::size_t folds_per_job_max = 64;            // kept; honest ones are five, more when peers see others' ranks otherwise
inline constexpr std::size_t folds_max = 16'384;                // kept, of all jobs together: 32 MiB signed, 24 MiB more as they are read
inline constexpr std::size_t folded_jobs_max = 1024;            // known by folds alone: 64 bytes each in every comparison
inline constexpr std::size_t fold_holders_min = 4;              // linked workers that have the evidence, or a peer takes it itself: it must not die with a few
inline constexpr std::uint32_t fold_questions_in_vain_max = 4;  // wrong paths, or neighbours that were silent, in a row: then nobody can show what the folds say
inline constexpr std::size_t peer_records_max = 1024;
inline constexpr std::size_t cached_peers_max = 1024;
inline constexpr std::size_t ids_per_reconciliation_max = 4096; // 128 KiB of ids in one message
inline constexpr std::size_t statements_per_bundle_max = 1024;  // a full frame of the shortest useful statements (250 bytes)
inline constexpr std::size_t ranges_per_holdings_max = 16384;   // 128 KiB; a more ragged set goes in several messages
inline constexpr std::size_t ticket_text_bytes_max = 64 * 1024; // 8 peers with 8 addresses take 28 KiB of base32
inline constexpr std::int64_t job_lifetime_default_s = 7 * 24 * 3600;
inline constexpr std::int64_t job_lifetime_max_s = 90 * 24 * 3600;

// --- blobs
inline constexpr std::uint64_t leaves_per_range_max = 8;        // 128 KiB of data: a frame with its proof stays below 256 KiB
inline constexpr std::uint64_t blob_bytes_max = 1ULL << 40;
inline constexpr std::size_t pulls_max = 65'536;                // blobs wanted at once: under 1 KiB each while nobody serves them
inline constexpr std::size_t ranges_per_pull_max = 4096;        // scattered reads of one blob that are remembered: 200 KiB
inline constexpr std::uint64_t kept_inputs_quota_share = 2;     // half of the quota at most, for jobs' inputs kept only for others
inline constexpr std::size_t proof_nodes_max = 128;             // two paths of a tree of 2^40 bytes
inline constexpr std::size_t blob_requests_per_peer_max = 8;    // credit window
inline constexpr base::Duration blob_request_timeout = base::seconds(10);
inline constexpr std::uint64_t blob_quota_default_bytes = 10ULL << 30;

inline constexpr std::uint64_t part_leaves_max = 3ULL << 26;           // of all begun blobs: a bit in memory and one on disk each, 24 MiB
inline constexpr std::size_t blob_parts_max = 4096;             // begun blobs at once; a bitmap in memory and three files each

// --- identity
inline constexpr std::uint32_t puzzle_memory_kib = 16 * 1024;   // past caches, yet a tenth of what the smallest volunteer machine has free
inline constexpr base::Duration puzzle_check_interval = base::seconds(1);  // one core's hundredth, whatever strangers send
inline constexpr base::Duration puzzle_patience = base::seconds(60);       // a linked worker shows its nonce by then: a dozen comparisons
inline constexpr std::size_t puzzles_waiting_max = 512;         // every link's and as many of strangers; past it comparison asks again
inline constexpr std::size_t proven_ids_max = 4096;             // good answers remembered, and kept on disk: every author of a job
inline constexpr unsigned puzzle_difficulty_bits_max = 24;      // at about 10 ms a try: two days; more is a mistyped swarm

// --- storage
inline constexpr std::size_t setting_bytes_max = 1024 * 1024;   // a setting is a key or a short text, never a payload
inline constexpr std::uint64_t evidence_journal_bytes_max = 64ULL << 20;  // the write-ahead log is cut back to this

// --- units
inline constexpr std::uint64_t memory_bytes_default = 512ULL << 20;
inline constexpr std::uint64_t memory_bytes_max = 4ULL << 30;   // wasm32's own bound
inline constexpr std::uint64_t output_bytes_default = 16ULL << 20;
inline constexpr std::uint64_t output_bytes_max = 256ULL << 20;
inline constexpr std::uint32_t unit_time_ms_default = 600'000;
inline constexpr std::uint32_t unit_time_ms_max = 24 * 3600 * 1000;
inline constexpr std::uint64_t program_bytes_max = 256ULL << 20;
inline constexpr std::uint64_t units_blob_bytes_max = 256ULL << 20;
inline constexpr std::uint64_t item_bytes_max = 1ULL << 20;     // one line of the units blob
inline constexpr std::uint32_t interpreter_time_factor = 100;   // a replay's second tier, or code that does not compile, may take this many times the limit

// --- execution (worker/execution)
inline constexpr std::size_t guest_path_bytes_max = 16 * 1024;      // 64 parts of 255 bytes: what guest_depth_max allows
inline constexpr std::size_t guest_path_argument_bytes_max = 4096;  // PATH_MAX of ordinary systems
inline constexpr std::size_t guest_name_bytes_max = 255;
inline constexpr unsigned guest_depth_max = 64;                     // directories inside each other: bounds recursion
inline constexpr unsigned guest_links_followed_max = 40;             // in one path, as Linux has it; then ELOOP
inline constexpr std::size_t guest_descriptors_max = 1024;          // open files of one item
inline constexpr std::size_t guest_iovecs_max = 1024;               // IOV_MAX of ordinary systems
inline constexpr std::uint64_t guest_file_charge_bytes = 256;       // a file's or directory's own memory, counted against limits
inline constexpr std::uint64_t table_element_bytes = 64;             // what one counts against the memory limit: 16, and the engine grows tables by doubling
inline constexpr std::uint64_t guest_name_work_bytes = 1024;         // what looking at one name costs a guest, as bytes moved: 128 fuel for some 100 ns
inline constexpr std::uint32_t files_per_item_max = 1U << 20;       // output_bytes_max / guest_file_charge_bytes
inline constexpr std::size_t stderr_tail_bytes_max = 4096;
inline constexpr std::uint32_t threads_per_unit_max = 1024;
inline constexpr std::uint64_t executor_frame_bytes_max = 1ULL << 30;  // one unit's items and files, or its archive
inline constexpr std::size_t executor_messages_bytes_max = 64 * 1024;  // what an executor may add to an archive in a frame
inline constexpr std::size_t job_notes_max = 1024;                  // why a job is not run optimised here
inline constexpr std::size_t units_queued_max = 1024;               // waiting for a slot; more would be work claimed too early
inline constexpr std::size_t leaf_requests_waiting_max = 1024;      // one per thread of an executor suffices
inline constexpr std::size_t fetch_threads_max = 8;                  // blocked in InputSource::ensure, all executors together
inline constexpr std::size_t programs_loaded_max = 4;               // per executor; each keeps its code mapped
inline constexpr std::size_t executor_stack_bytes = 128 * 1024 * 1024;  // native stack of one item: 64 bytes for each slot that may be counted, 40 measured; decision 0017
inline constexpr std::size_t guest_stack_guard_bytes = 1ULL << 32;   // below it, addresses alone: LLVM makes no larger frames
inline constexpr std::int64_t fuel_slice = 1LL << 27;               // about 50 ms; a trapped item's fuel is that of its last one
inline constexpr std::uint32_t fingerprint_seeds_max = 16;           // peers whose fingerprints one execution makes
inline constexpr std::uint64_t executor_descriptors_max = 256;      // a socket, the inputs of one unit, mapped programs
inline constexpr std::uint64_t executor_threads_max = threads_per_unit_max + 64;  // of one executor, counted by the kernel where it can
inline constexpr std::uint64_t executor_threads_spare = 16;         // beyond those that the order asks for, before the host kills
inline constexpr base::Duration executor_start_timeout = base::seconds(30);   // loading the engine takes 0.1 s; slow disks exist
inline constexpr base::Duration executor_idle_default = base::seconds(30);    // then an idle peer is small again
inline constexpr base::Duration compile_first_timeout = base::seconds(120);   // without optimisation; then the interpreter must do
inline constexpr base::Duration compile_timeout = base::seconds(300);
inline constexpr std::int64_t compile_clock_factor = 10;             // those are processor times; a busy machine may take so much longer
inline constexpr std::uint64_t compile_resident_bytes_max = 2ULL << 30;  // programs of 11 MB; three compilers may run at once
inline constexpr std::uint64_t interpreted_bytes_factor = 64;        // memory for a byte of a program that is interpreted: 40 measured
inline constexpr std::uint64_t interpreted_bytes_max = 4ULL << 30;
inline constexpr std::uint64_t executor_kept_bytes_max = 256ULL << 20;  // an executor that holds more does not go on to another program
inline constexpr std::uint64_t compile_cache_bytes_max = 4ULL << 30;   // a hundred programs; the least recently used goes first
inline constexpr std::size_t compile_programs_max = 4096;  // that a cache remembers beside those in work; others are looked up on the disk again
inline constexpr std::uint64_t compile_memory_bytes_max = 8ULL << 30;  // address space; LLVM reserves generously
inline constexpr std::uint64_t compiled_bytes_max = 2ULL << 30;     // native code is about ten times the module
inline constexpr base::Duration check_timeout = base::seconds(60);

// --- runtime
inline constexpr std::size_t inbound_bytes_max = 64 * 1024 * 1024;  // frames waiting for the protocol thread: 256 full ones
inline constexpr std::size_t inputs_per_batch_max = 512;            // one durable append and one round of queries per batch
inline constexpr std::uint32_t tail_workers_min = 8;                // with no more, hardly two start the same unit before they hear of each other
inline constexpr base::Duration tail_redraw_interval = base::milliseconds(50);  // a claim has come by then: 15 ms of batching and a link or two
inline constexpr std::uint32_t tail_draws_alike = 4;                // then each has twice the chance of the one before: 0.6 s at most in a swarm of 64 with two slots each
inline constexpr std::size_t computing_threads_max = 4;              // for signatures: 60,000 checks/s, more than 64 links bring; the donor keeps his other cores
inline constexpr std::size_t signatures_together_max = 64;          // checked ahead of the core's question: what a cut link can make us check in vain
inline constexpr std::size_t statements_ahead_max = 16'384;          // of a batch, that are decoded and looked at before the core's question: 200 bytes each
inline constexpr std::size_t signatures_together_min = 4;           // waking threads for less gains little
inline constexpr std::size_t inputs_deferred_max = 4096;            // kept in order while the disk refuses our statements
inline constexpr std::size_t inputs_deferred_bytes_max = inbound_bytes_max;  // of their frames; one batch more at most
inline constexpr base::Duration append_retry_interval = base::seconds(1);  // full disk: someone must make room first
inline constexpr std::uint64_t blob_serve_bytes_per_s = 64ULL << 20;   // per asking peer: one greedy peer cannot starve the others
inline constexpr std::uint64_t blob_serve_burst_bytes = 16ULL << 20;
inline constexpr std::size_t blob_requests_waiting_max = 16;        // per asking peer: twice its honest credit window
inline constexpr std::size_t blob_requests_outstanding_max = 64;    // per asked peer: answers that we still remember to want
inline constexpr std::uint64_t fetch_window_leaves = 256;           // 4 MiB asked for at once by one fetch
inline constexpr base::Duration unit_input_timeout = base::seconds(60);   // a unit that cannot read its input is released
inline constexpr base::Duration fetch_retry_interval = base::milliseconds(200);  // nobody has it now: ask again
inline constexpr std::size_t ticket_peers_max = 8;                  // more would only lengthen the pasted text
inline constexpr std::size_t evidence_envelope_bytes_max = statement_bytes_max + 1024;  // body plus author, signature, framing
inline constexpr std::uint64_t evidence_file_bytes_max = 1ULL << 30;  // 400,000 statements would rarely fill it
inline constexpr std::size_t line_indexes_max = 16;                 // jobs whose units blob is indexed at once, 512 KiB each

inline constexpr std::uint32_t checkpoint_rounds_max = 1U << 20;    // of one item; its time is bounded as ever
inline constexpr base::Duration checkpoint_interval_default = base::seconds(10);  // work that a killed worker may lose
inline constexpr std::uint64_t checkpoints_bytes_max = 4ULL << 30;  // of all units on one disk; the oldest go first

static_assert(output_bytes_max + executor_messages_bytes_max < executor_frame_bytes_max);
static_assert(output_bytes_max / guest_file_charge_bytes <= files_per_item_max);
static_assert(compile_resident_bytes_max < compile_memory_bytes_max);
// --- the core's rhythm
inline constexpr base::Duration tick_interval = base::milliseconds(100);       // while there is anything to do
inline constexpr base::Duration tick_idle_interval = base::seconds(2);         // else: an idle peer must not be felt
inline constexpr base::Duration batch_delay = base::milliseconds(15);          // own results and claims gather this long
inline constexpr base::Duration relay_delay = base::milliseconds(40);          // others' statements: most arrive directly
inline constexpr std::size_t relay_neighbours_max = 4;                         // of each statement, by each relay: of those who lack it 98 % get it so, the rest by comparison
inline constexpr std::size_t relay_bytes_max = 8 * 1024 * 1024;                // waiting for relay_delay: one link's send_budget_bytes, more would be dropped there
inline constexpr base::Duration reconcile_interval = base::seconds(5);         // with one random neighbour
inline constexpr base::Duration holdings_delay = base::milliseconds(200);
inline constexpr base::Duration claim_lifetime = base::seconds(10);            // renewed at half time while the unit runs
inline constexpr base::Duration claim_lifetime_max = base::seconds(60);        // what a stranger may claim
inline constexpr base::Duration claim_standing_margin = base::seconds(30);     // beyond the unit's time limit: then a claim is spent
inline constexpr base::Duration release_backoff = base::seconds(30);           // doubles with each release of the unit here
inline constexpr base::Duration release_backoff_max = base::seconds(3600);
inline constexpr std::uint32_t blocks_ahead_max = 64;                          // how far past its oldest open block a peer works in class trusted; else two
inline constexpr base::Duration dial_backoff_min = base::seconds(1);
inline constexpr base::Duration dial_backoff_max = base::seconds(60);
inline constexpr std::size_t dials_at_once_max = 8;                            // each holds a socket for up to dial_timeout; fakes can hold no more
inline constexpr std::size_t dials_for_strangers_min = 2;                      // of these, while strangers wait: a cache of dead peers must not hold all
inline constexpr base::Duration dial_courtesy = base::seconds(1);              // the lower id dials first; the other waits this long
inline constexpr base::Duration refused_link = base::seconds(600);             // no dialling of a peer that broke the protocol
inline constexpr base::Duration reader_patience = base::seconds(10);            // a unit's read that nobody serves fails then
inline constexpr base::Duration lost_archive_patience = base::seconds(20);      // its holders may come back; then it is made again
inline constexpr base::Duration news_patience = base::seconds(5);                // a neighbour's news of what it holds has come by then
inline constexpr base::Duration source_retry = base::seconds(5);               // a peer that did not have a blob is asked again
inline constexpr std::int64_t peer_record_lifetime_s = 24 * 3600;
inline constexpr std::int64_t peer_record_skew_max_s = 600;                    // clocks without NTP drift seconds a day; more lets one key sign a stock of records ahead
inline constexpr base::Duration peer_record_spacing = base::seconds(10);       // records of one key: restarts need no more, and each is passed on to all
inline constexpr base::Duration clock_complaint_spacing = base::seconds(3600);  // each slow job is refused again and again: one line of log is enough
inline constexpr std::int64_t peer_record_renewal_s = 6 * 3600;
inline constexpr std::size_t seen_statements_max = 65'536;                     // ephemeral ids remembered
inline constexpr std::size_t claims_per_peer_max = 4096;                       // live claims of one peer in one job
inline constexpr std::size_t archive_holders_target = 3;                       // live peers that keep an accepted archive
inline constexpr std::size_t input_holders_target = 4;                         // three beside the submitter, who may be one and leaves first
inline constexpr std::size_t units_swept_per_tick_max = 2048;
inline constexpr std::size_t own_order_units_kept_max = 1U << 20;              // 4 MiB a job: 128 peers in the block of 1,000; more are drawn anew
inline constexpr std::size_t pulls_at_once_max = 64;                           // archives fetched at a time
inline constexpr base::Duration replay_patience = base::seconds(1);            // between two looks whether others still work on what is open
inline constexpr std::uint32_t replays_per_accused_max = 3;                    // per job: more prove nothing new
inline constexpr std::uint32_t accusations_replayed_max = 2;                   // found untrue, per accused key and job: who says that it copied pays nothing for it
inline constexpr std::size_t accusations_looked_at_max = 64;                    // of one unit, each time something new is said about it
inline constexpr std::uint32_t copies_until_suspect = 2;                       // right answers with a wrong fingerprint: one may be a flipped bit that no answer shows
inline constexpr std::uint32_t errors_until_twice = 2;                         // own answers found wrong by this peer itself: the next one could ban it
inline constexpr std::uint32_t replays_given_up_max = 3;                       // per accused key and job, on this machine
inline constexpr std::size_t faults_to_ban = 3;                                // proven faulty units of a key, per judge set
static_assert(errors_until_twice < faults_to_ban);
inline constexpr std::uint32_t audit_share_percent = 5;                        // of own executions, at least: what finds liars among the accepted
inline constexpr std::uint32_t audit_share_percent_max = 40;                   // a manifest may ask for more, and V hears one for each result: not quite all
inline constexpr std::uint32_t closing_audit_share_percent = 2;                // beside these, by a peer with nothing left to do (decision 0018)
inline constexpr std::uint32_t audit_verified_units_min = 4;                   // with fewer a key is drawn in proportion: it must work first
inline constexpr base::Duration confirm_lifetime = base::seconds(15);          // a user who waits for finality says so again in time
inline constexpr base::Duration favours_interval = base::seconds(60);          // who did how much for this peer's own owner changes slowly
inline constexpr std::size_t projects_max = 1024;                              // that a donor chooses
inline constexpr std::uint32_t project_weight_max = 1000;                      // of one of them
inline constexpr std::uint64_t fair_share_units_remembered = 64;               // for the mean of a job's units: they change as a job goes on
inline constexpr std::size_t audit_draws_max = 16;                             // tries to find a unit; then another time
inline constexpr std::uint32_t replay_share_percent = 1;                       // of own executions, while there is open work
inline constexpr std::uint64_t answers_per_unit_max = 2;                     // of one key, on average: again when what it went on from is replaced, or its chain is void
inline constexpr std::size_t segment_inputs_ahead_max = 8;                     // fetched at a time in order to start segments
inline constexpr base::Duration replay_input_patience = base::seconds(60);     // a replay whose input nobody brings by then is not made
inline constexpr std::size_t forgotten_jobs_max = 4096;
inline constexpr std::size_t statements_per_want_answer_max = 4096;
// What one neighbour's comparisons and requests may cost in bytes sent from memory or looked through, beside the rows read: a question has 300.
inline constexpr std::int64_t answers_burst_bytes = 64 << 20;                  // a newcomer takes a full shard, 26 MB in statements of many results, at one go
inline constexpr std::int64_t answers_bytes_per_s = 4 << 20;                   // 32 Mbit/s; from 64 neighbours together more than a donor's line brings
inline constexpr std::size_t statement_looked_at_bytes = 8;                   // what comparing one costs beside sending it: 100 ns
inline constexpr std::size_t unit_looked_at_bytes = 8;                        // of a job's archives, when somebody lists what he holds
inline constexpr std::size_t id_listed_bytes = 32;
// Of all jobs: what makes a verdict look at all answers of a job again, which whoever makes keys can cause with each statement (threat-model.md).
inline constexpr std::int64_t results_judged_anew_burst = 1'000'000;           // a full shard eight times
inline constexpr std::int64_t results_judged_anew_per_s = 250'000;             // a full shard twice a second: 2 % of a core
inline constexpr std::int64_t results_judged_anew_min = 1000;                  // what the smallest job counts as
inline constexpr std::size_t stored_bytes_per_answer_max = 8 * 1024 * 1024;    // read from the disk for one neighbour's question: one link's send_budget_bytes
inline constexpr std::int64_t stored_reads_per_s = 65'536;                      // rows of the disk, for all neighbours' comparisons together: 0.1 us of processor time each in lists, 3 to 10 looked up alone
inline constexpr std::int64_t stored_reads_burst = 16'384;                     // of one neighbour: two comparisons with everything that each may cost
inline constexpr std::uint64_t stored_bytes_per_read = 512;                     // a statement of one result is a row or less
// A job in which every unit is closed sleeps after this much quiet: followers and late audits come within it. It doubles with each waking by others,
// up to the longest: so often can a stranger's statement cost this peer an evaluation of the whole job.
inline constexpr base::Duration job_quiet = base::seconds(300);
inline constexpr std::int64_t job_quiet_doublings = 4;                         // 80 minutes
inline constexpr std::int64_t job_quiet_restored_divisor = 5;                  // after a restart, or a waking for this peer's own ends, nobody else is in the middle of anything: a minute
inline constexpr std::int64_t lost_asleep_quiets = 2;                          // ten minutes: 64 neighbours have listed what they hold nearly all
inline constexpr std::int64_t keepers_asleep_quiets = 12;                      // an hour: three keep each archive, and waking costs up to seconds
inline constexpr std::uint64_t units_put_to_sleep_per_tick_max = 65'536;       // telling what was earned takes 50 ms for so many
inline constexpr std::int64_t fold_leaves_burst = 262'144;                      // hashed for neighbours, of all jobs together: a full shard four times
inline constexpr std::int64_t fold_leaves_per_s = 32'768;                      // half a full shard: two hashes each
inline constexpr std::int64_t fold_leaves_min = 256;                           // what the smallest job counts as
inline constexpr base::Duration evidence_look_interval = base::milliseconds(500);  // while a user's question waits for it
inline constexpr base::Duration fold_spacing = base::seconds(10);              // between two of one key and job that are taken here: honest ones change when a job wakes and sleeps again
inline constexpr base::Duration headlines_patience = base::seconds(2);         // a new neighbour's have come by then, or comparison goes on without them
inline constexpr base::Duration headlines_patience_max = base::seconds(20);    // ... while more and more of them come
inline constexpr std::uint32_t headline_rounds_max = 32;                       // answers asked of one new neighbour: 131,072 headlines
inline constexpr base::Duration evidence_patience = base::seconds(10);         // of a job that is known and of which nothing was heard: work begins without it then
inline constexpr base::Duration evidence_patience_max = base::seconds(120);    // ... while more and more of it comes: a full shard in 130,000 statements takes 32 comparisons
inline constexpr base::Duration restart_patience = base::seconds(600);         // of a job without evidence after a start, for the first neighbour: dialling the known ones takes seconds
inline constexpr base::Duration fold_holders_patience = base::seconds(30);     // most neighbours have said by then what they have
inline constexpr base::Duration fold_answer_patience = base::seconds(20);      // waking a full shard takes up to a second on a busy machine
inline constexpr base::Duration fold_question_spacing = base::seconds(30);     // after one in vain: who was asked may be waking others
inline constexpr base::Duration look_again_interval = base::seconds(60);       // of one job, because neighbours pass in its custody: newcomers are few
inline constexpr base::Duration fold_waking_interval = base::seconds(30);      // of all jobs together, by neighbours' questions
inline constexpr base::Duration statement_waking_interval = base::seconds(2);  // of all jobs together: a full shard takes up to a second to wake
inline constexpr base::Duration custody_waking_interval = base::seconds(30);   // of all jobs together: a neighbour that leaves concerns each of them

// --- the local door (UNIX socket between a worker and its user's commands)
inline constexpr std::size_t local_request_json_bytes_max = 64 * 1024;      // a request names things; bytes ride in the payload
inline constexpr std::size_t local_reply_json_bytes_max = 16 * 1024 * 1024;  // the accepted units of the largest job
inline constexpr std::size_t local_payload_bytes_max = 4 * 1024 * 1024;     // longer blobs come by path or in pieces
inline constexpr std::size_t local_connections_max = 32;                    // one thread each
inline constexpr base::Duration local_wait_max = base::seconds(5);          // a long poll holds its thread, and a stopping worker, no longer

// --- what people are told (protocol/explanation.hpp)
inline constexpr std::size_t answers_told_max = 1024;                           // of a unit, best first: under 1 KiB each as JSON
inline constexpr base::Duration finality_interval = base::seconds(1);         // what is final is counted anew at most so often, and only when asked
inline constexpr std::size_t replays_told_max = 1024;                           // of a unit, or against a key: three of each of 300 judges
inline constexpr std::size_t open_units_told_max = 64;                          // of a job; the counts say the rest
inline constexpr std::size_t refusals_told_max = 64;                            // statements of an evidence file, with the reason; the count says the rest

static_assert(proven_ids_max >= authors_per_job_max && proven_ids_max >= peer_records_max);
static_assert(puzzles_waiting_max >= inbound_links_max + neighbours_max);
static_assert(relay_bytes_max <= send_budget_bytes && dials_for_strangers_min < dials_at_once_max);
static_assert(statement_bytes_max < frame_bytes_max && frame_bytes_max < message_bytes_max);
static_assert((frames_received_ahead_max + 2) * (frame_bytes_max + 64) < unfinished_bytes_after_hello_max);
static_assert(leaves_per_range_max * 16 * 1024 + proof_nodes_max * 32 < frame_bytes_max);
static_assert(results_per_batch_max * 160 < statement_bytes_max);
static_assert(units_per_job_max * std::size_t{200} < local_reply_json_bytes_max);
static_assert((answers_told_max + replays_told_max) * 2048 < local_reply_json_bytes_max && (authors_per_job_max + 1) * std::size_t{2048} < local_reply_json_bytes_max);
static_assert(statements_per_bundle_max < statements_ahead_max && signatures_together_max < statements_ahead_max);
static_assert(stored_bytes_per_answer_max <= answers_burst_bytes);
static_assert(stored_bytes_per_answer_max <= send_budget_bytes && custody_waking_interval < job_quiet);
static_assert(news_patience < lost_archive_patience);
static_assert(jobs_per_owner_max <= jobs_open_max && jobs_open_max <= jobs_max && units_per_job_max <= units_open_max);
static_assert(ids_per_reconciliation_max * 32 + folded_jobs_max * 64 + 4096 < frame_bytes_max);
static_assert(folds_agreeing_min <= fold_makers && fold_makers <= folds_per_job_max && fold_credits_max * 64 < statement_bytes_max);
static_assert((std::size_t{1} << fold_path_max) >= units_per_job_max);
static_assert(ranges_per_holdings_max * 8 < frame_bytes_max);

}  // namespace starling::limits
