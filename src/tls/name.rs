//! Who a client's certificate names. Pure.
//!
//! Owns the way to one field of a certificate: its `subjectAltName` (RFC 5280, 4.2.1.6). Talks to nobody. It never decides
//! whether a certificate is good: that was done when the connection was made, by the library that also checked its form.
//!
//! The common name is not read: it is free text that authorities check less, and nothing tells a host's from a person's.

/// Most bytes of a name.
const MAX_NAME: usize = 256;

/// Identifier of `subjectAltName`: 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
/// `[3]` of `TBSCertificate`.
const EXTENSIONS: u8 = 0xa3;

/// The first DNS name, e-mail address or URI that the certificate names, with its kind in front, so that none of them
/// can be taken for another: `dns:agent.example.com`, `email:ann@example.com`, `uri:spiffe://example.com/agent`.
pub fn principal(certificate: &[u8]) -> Option<String> {
    let mut names = Fields(alternative_names(certificate)?);
    names.find_map(|(tag, value)| {
        let kind = match tag {
            0x81 => "email",
            0x82 => "dns",
            0x86 => "uri",
            _ => return None,
        };
        // It goes to logs.
        let plain = !value.is_empty() && value.len() <= MAX_NAME && value.iter().all(u8::is_ascii_graphic);
        let name = std::str::from_utf8(value).ok().filter(|_| plain)?;
        Some(match kind {
            "dns" => format!("{kind}:{}", name.to_ascii_lowercase()),
            _ => format!("{kind}:{name}"),
        })
    })
}

fn alternative_names(certificate: &[u8]) -> Option<&[u8]> {
    let certificate = Fields(certificate).first(SEQUENCE)?;
    let signed = Fields(certificate).first(SEQUENCE)?;
    let extensions = Fields(signed).find(|(tag, _)| *tag == EXTENSIONS)?.1;
    let extensions = Fields(extensions).first(SEQUENCE)?;
    let (_, found) = Fields(extensions)
        .find(|(_, extension)| Fields(extension).first(OBJECT_IDENTIFIER) == Some(SUBJECT_ALT_NAME))?;
    let value = Fields(found).find(|(tag, _)| *tag == OCTET_STRING)?.1;
    Fields(value).first(SEQUENCE)
}

/// The fields of a DER structure: tag and content. Ends at the first that is none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The content of the first field, when it has this tag.
    fn first(mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        if tag & 0x1f == 0x1f {
            return None; // A tag of several bytes: no certificate has one.
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn the_first_name_of_a_known_kind_counts() {
        let email = SanType::Rfc822Name("ann@example.com".try_into().unwrap());
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        for (names, want) in [
            (vec![dns("Agent.Example.com"), uri("spiffe://example.com/a")], Some("dns:agent.example.com")),
            (vec![address.clone(), uri("spiffe://example.com/a"), dns("b")], Some("uri:spiffe://example.com/a")),
            (vec![email], Some("email:ann@example.com")),
            (vec![uri("with space"), dns("after")], Some("dns:after")),
            (vec![uri(&"x".repeat(257))], None),
            (vec![address], None),
            (vec![], None),
        ] {
            assert_eq!(principal(&certificate(names.clone())).as_deref(), want, "{names:?}");
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_names_nobody_or_somebody_and_never_fails() {
        let good = certificate(vec![dns("agent.example.com")]);
        for end in 0..good.len() {
            assert_eq!(principal(&good[..end]), None);
        }
        for at in 0..good.len() {
            for value in [0, 0x1f, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = good.clone();
                changed[at] = value;
                drop(principal(&changed));
            }
        }
    }
}
