//! The index of attacks: what somebody tries, and which tests hold against it, all of them run against the built binary
//! but for those under `network`, which have each case in detail. A test that an attack gave its number to is named
//! after it.
//!
//! | | attack | tests |
//! |---|---|---|
//! | T1 | a page reaches the bridge by a name of its own that leads to this machine (DNS rebinding); no `Host`, or two | `guard::t1_a_host_that_is_foreign_missing_or_doubled_reaches_no_server_on_any_route`, `field::safety::field_20_a_foreign_host_or_origin_is_refused_on_every_route`, `network::guard::a_missing_or_doubled_host_is_400` |
//! | T2 | a page of another origin calls, or asks first | `guard::t2_only_a_listed_origin_is_served_and_it_alone_is_echoed`, `network::guard::a_listed_origin_is_echoed_and_may_ask_first_without_a_token`, `network::ws::the_upgrade_is_guarded_as_every_route_is` |
//! | T3 | a page sends what it may send without asking first | `guard::t3_what_a_page_can_send_unasked_has_no_effect`, `field::safety::field_20_a_request_that_a_page_can_forge_is_refused` |
//! | T4 | the network around reaches a bridge that was meant for one machine | `field::safety::field_20_it_listens_on_loopback_and_beyond_only_with_a_flag`, `sockets::systemd::a_passed_on_socket_that_everyone_could_call_or_nobody_is_refused`, `sockets::unix::a_unix_socket_is_this_users_own_and_goes_with_the_bridge` |
//! | T8 | a caller has another command started, elsewhere, with other variables; a config file is anybody's | `guard::t8_nothing_that_a_caller_sends_changes_how_its_server_is_started`, `guard::t8_a_servers_name_is_taken_as_it_is_or_not_at_all`, `config::servers::a_file_that_everyone_can_write_is_warned_of` |
//! | T9 | a server has the bridge call what is inside: by address, by name, by redirect | `auth::attacks::t9_nothing_is_sent_to_an_address_that_no_server_may_name`, `auth::attacks::t9_a_public_server_gets_no_connection_to_this_machine`, `auth::attacks::t9_a_document_that_redirects_elsewhere_is_not_followed` |
//! | T10 | documents that name another issuer, another resource, open connections, a login without PKCE; an answer of another issuer | `auth::attacks::t10_poisoned_documents_stop_the_login_before_a_secret_is_sent`, `auth::attacks::t10_an_issuer_with_a_slash_more_is_another_one`, `auth::attacks::t10_a_document_of_another_resource_is_refused`, `auth::attacks::t10_an_answer_of_another_issuer_is_never_redeemed` |
//! | T11 | a page to open that is a command, a file or a flag | `auth::attacks::t11_only_a_web_page_is_opened_and_as_one_argument` |
//! | T12 | somebody else answers the login, or floods the port that waits for the answer | `auth::attacks::t12_only_this_logins_answer_is_taken_and_only_once`, `auth::attacks::t12_nobody_listens_for_an_answer_when_the_time_is_up` |
//! | T12b | a server sends its callers on to another origin, with what they show | `auth::attacks::t12b_a_token_does_not_follow_a_redirect_to_another_origin`, `bad_input::servers::a_redirect_to_another_origin_carries_nothing`, `ws::a_redirect_to_another_origin_carries_no_credentials` |
//! | T14 | a session's id is guessed, or was found | `guard::t14_ten_thousand_session_ids_can_neither_be_guessed_nor_put_in_order`, `door::a_session_belongs_to_the_principal_that_opened_it` |
//! | T15 | a second stream takes the first one's messages; an event of another session is asked for | `guard::t15_a_second_stream_is_refused_and_starves_not_the_first`, `field::upstream::field_18_the_stream_of_what_belongs_to_no_call_is_resumed`, `network::resume::ids_of_other_sessions_and_made_up_ones_are_400_and_replay_nothing` |
//! | T16 | a header says who calls, from where, or what; a header meant for one hop travels on | `guard::t16_no_header_but_the_credential_opens_the_door_and_none_overrides_the_body`, `headers::t16_no_header_of_a_caller_reaches_the_server_and_none_of_the_servers_the_caller`, `network::traffic::forwarded_headers_count_only_from_a_trusted_proxy`, `network::modern::headers_and_body_that_disagree_never_reach_a_server` |
//! | T17 | a line break in a flag, a name, a session's id, an event's id, a message makes two of one | `headers::t17_a_name_with_line_breaks_stays_in_its_header`, `headers::t17_a_session_id_with_line_breaks_is_never_sent_back`, `headers::t17_an_event_id_with_line_breaks_is_cut_where_it_breaks`, `headers::t17_a_message_with_line_breaks_in_it_is_one_event`, `headers::t17_a_header_with_raw_bytes_beyond_ascii_is_refused`, `cli::every_usage_error_is_one_line_with_a_next_step_and_exit_code_64` |
//! | T17b | a caller's token ends up at the server, or the server's challenge at the caller | `sources::what_a_caller_sends_to_authorize_itself_stays_at_the_bridge`, `headers::t17b_a_servers_challenge_is_not_handed_on` |
//! | T24 | somebody reads the log, an error, a status page | `secrets::t24_nothing_that_a_bridge_says_at_the_loudest_level_holds_a_secret`, `auth::secrets::t24_no_log_and_no_answer_holds_a_secret`, `auth::fronts::callers_of_a_service_are_told_one_page_and_one_login_serves_them_all`, `field::safety::field_21_no_secret_and_no_body_is_logged_by_a_client`, `field::safety::field_21_no_secret_and_no_body_is_logged_by_a_server` |
//! | T25 | somebody looks at processes and files; a server looks at its own environment | `secrets::t25_a_server_has_no_variable_of_the_bridge_and_with_a_list_only_those_on_it`, `auth::secrets::t25_tokens_are_for_the_user_alone_and_in_no_command_line`, `auth::secrets::t25_a_link_in_the_place_of_the_file_is_refused`, `config::plan::a_plan_shows_argv_as_lists_and_no_secret` |
//! | T30 | a token that is forged, over, or for others; two of them; made-up keys and callers without end | `door::t30_no_algorithm_is_believed_because_a_token_names_it`, `door::a_token_of_the_issuer_for_this_bridge_is_let_in_and_everything_else_is_challenged`, `door::a_storm_of_unknown_keys_makes_one_request_and_a_new_key_is_found`, `door::t30_a_flood_of_strangers_frees_nobody_and_locks_nobody_out`, `network::guard::without_the_token_everything_but_health_is_401` |

use std::{fs, path::Path};

/// The names in the index above.
fn named() -> impl Iterator<Item = &'static str> {
    let index = include_str!("threats.rs").lines().filter(|line| line.starts_with("//! | T"));
    index.flat_map(|line| line.split('`').filter(|word| word.contains("::")))
}

#[test]
fn every_test_that_the_index_names_is_there() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut count = 0;
    for name in named() {
        let (module, test) = name.rsplit_once("::").unwrap();
        let file = tests.join(format!("{}.rs", module.replace("::", "/")));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (before, _) = text.split_once(&format!("fn {test}()")).unwrap_or_else(|| panic!("{name}"));
        let own = before.rsplit("\n\n").next().unwrap();
        assert!(own.contains("#[test]") || own.contains("#[tokio::test"), "{name} is run by nobody");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

/// A module that nobody names is not compiled, and its tests hold against nothing.
#[test]
fn every_file_of_tests_is_part_of_the_crate() {
    fn look(dir: &Path, owner: &str) {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
            let is_module = entry.extension().is_some_and(|end| end == "rs") && name != "main";
            if is_module {
                assert!(owner.contains(&format!("mod {name};")), "{} is in no module", entry.display());
                let inside = entry.with_extension("");
                if inside.is_dir() {
                    look(&inside, &fs::read_to_string(&entry).unwrap());
                }
            }
        }
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    look(&tests, &fs::read_to_string(tests.join("main.rs")).unwrap());
}
