use proptest::prelude::*;

use super::*;

fn claims() -> Claims {
    Claims {
        parked: u128::MAX - 7,
        instance: 9,
        principal: principal(None),
        request: request("tools/call", Some(r#"{"name":"greet"}"#)),
        round: 3,
        expiry: 1_800_000_000,
    }
}

fn fixed() -> Sealer {
    Sealer(seal::Sealer::new(&[7; seal::KEY]).unwrap())
}

#[test]
fn what_was_sealed_opens_under_the_same_key_alone() {
    let sealer = fixed();
    let text = sealer.seal(&claims()).unwrap();
    assert_eq!(text.len(), SEALED);
    assert!(text.starts_with("v1."));
    assert_ne!(text, sealer.seal(&claims()).unwrap(), "a nonce is used once");
    assert_eq!(sealer.open(&text), Ok(claims()));
    assert_eq!(fixed().open(&text), Ok(claims()), "as after a restart");
    assert_eq!(Sealer::random().unwrap().open(&text), Err(NotOurs));
    assert_eq!(format!("{sealer:?}"), "Sealer(Sealer(***))");
}

#[test]
fn the_format_is_the_one_that_is_written_down() {
    // Made with another library (Python's cryptography, AESGCM), nonce 00..0b, after the description of the module.
    let text = concat!(
        "v1.AAECAwQFBgcICQoL534Wj-L2JraITRpjHaeTAuE8to4YYncxFs5juo7XbQy97fUuH9sjSo8ZbVtel7Tz-a5sXDK5xGCWppuLO",
        "JFd5VAvpjjtdhpIAVl-HW7k5Be9sgtVK3RAkXhXpu7V70Ogt_AUHA4oHlGzYoEHFOWqPubid7MuiRPQSsSqKg"
    );
    assert_eq!(fixed().open(text), Ok(claims()));
}

#[test]
fn garbage_is_not_ours() {
    let sealer = fixed();
    let text = sealer.seal(&claims()).unwrap();
    let long = "x".repeat(5_000_000);
    let garbage = [
        "".to_string(),
        "v1.".to_string(),
        text.replacen("v1.", "v2.", 1),
        format!("{text}="),
        format!(" {text}"),
        text[..SEALED - 1].to_string(),
        "é".repeat(SEALED / 2) + "x",
        format!("v1.{}", "A".repeat(SEALED - 3)),
        long,
    ];
    for text in garbage {
        assert_eq!(sealer.open(&text), Err(NotOurs), "{}", text.len());
    }
}

proptest! {
    #[test]
    fn any_claims_come_back(parked: u128, instance: u128, principal: Digest, request: Digest, round: u32, expiry: u64) {
        let claims = Claims { parked, instance, principal, request, round, expiry };
        prop_assert_eq!(fixed().open(&fixed().seal(&claims).unwrap()), Ok(claims));
    }

    #[test]
    fn a_flipped_bit_is_noticed(at in 0..SEALED, bit in 0..8_u32) {
        let mut bytes = fixed().seal(&claims()).unwrap().into_bytes();
        bytes[at] ^= 1 << bit;
        // What is no text any more is not read at all.
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(fixed().open(&text), Err(NotOurs));
        }
    }

    #[test]
    fn no_text_opens_by_chance(text in "v1\\.[A-Za-z0-9_-]{182}|.{0,300}") {
        prop_assert_eq!(fixed().open(&text), Err(NotOurs));
    }
}

#[test]
fn the_digest_of_a_request_does_not_depend_on_how_it_is_written() {
    let one = r#"{"name":"greet","arguments":{"x":1,"y":[1.0,{"a":"é","b":null}]}}"#;
    let same = [
        r#"{ "arguments": {"y":[1, {"b":null,"a":"\u00e9"}],"x":1e0}, "name":"greet" }"#,
        r#"{"name":"greet","arguments":{"x":1,"y":[1,{"a":"é","b":null}]},"inputResponses":{"a":{}},"requestState":"v1.x","_meta":{"progressToken":7}}"#,
    ];
    for text in same {
        assert_eq!(request("tools/call", Some(one)), request("tools/call", Some(text)), "{text}");
    }
    let other = [
        r#"{"name":"greet","arguments":{"x":2,"y":[1.0,{"a":"é","b":null}]}}"#,
        r#"{"name":"greet","arguments":{"x":1,"y":[{"a":"é","b":null},1.0]}}"#,
        r#"{"name":"greet","arguments":{"x":"1","y":[1.0,{"a":"é","b":null}]}}"#,
        r#"{"name":"greet","arguments":{"x":1,"y":[1.0,{"a":"é"}]}}"#,
        r#"{"name":"greet","arguments":{"x":1,"y":[1.0,{"a":"é","b":null}],"_meta":{}}}"#,
    ];
    for text in other {
        assert_ne!(request("tools/call", Some(one)), request("tools/call", Some(text)), "{text}");
    }
    assert_ne!(request("tools/call", Some(one)), request("prompts/get", Some(one)));
    assert_eq!(request("x", None), request("x", Some("{}")));
}

#[test]
fn principals_are_told_apart() {
    let who = |name: &str| Principal(name.into());
    assert_eq!(principal(Some(&who("ada"))), principal(Some(&who("ada"))));
    assert_ne!(principal(Some(&who("ada"))), principal(Some(&who("bob"))));
    assert_ne!(principal(Some(&who(""))), principal(None));
}

#[test]
fn a_key_file_is_made_for_its_owner_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.key");
    let text = Sealer::from_file(&path).unwrap().seal(&claims()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(std::fs::read(&path).unwrap().len(), 65);
    assert_eq!(Sealer::from_file(&path).unwrap().open(&text), Ok(claims()));
}

#[test]
fn a_key_is_64_hex_digits_or_32_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.key");
    let text = fixed().seal(&claims()).unwrap();
    for key in [vec![7; 32], "07".repeat(32).into_bytes(), format!("  {}\r\n", "07".repeat(32)).into_bytes()] {
        std::fs::write(&path, key).unwrap();
        assert_eq!(Sealer::from_file(&path).unwrap().open(&text), Ok(claims()));
    }
    for (bytes, said) in [
        (vec![], "0 bytes"),
        (vec![7; 33], "33 bytes"),
        ("+7".repeat(32).into_bytes(), "64 bytes"),
        (vec![7; 5_000], "too much"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Sealer::from_file(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("holds {said}, not 64 hex digits")), "{error}");
    }
}

#[test]
fn a_key_file_that_cannot_be_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let error = Sealer::from_file(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the key file"), "{error}");
    let error = Sealer::from_file(&dir.path().join("no/such.key")).unwrap_err().to_string();
    assert!(error.starts_with("cannot create the key file") && error.contains("name a file"), "{error}");
    assert!(!error.contains('\n'));
}
