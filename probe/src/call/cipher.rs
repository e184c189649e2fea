//! The ciphers of SRTP (RFC 3711, RFC 7714) and the hashes of STUN and DTLS, for `str0m`. Its own
//! providers bring a second TLS library along; ring, which TLS uses here anyway, has all of this
//! except plain AES.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hmac};
use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, Sha1HmacProvider,
    Sha256Provider, SrtpProvider, SupportedAeadAes128Gcm, SupportedAeadAes256Gcm,
    SupportedAes128CmSha1_80,
};

/// All of it; the parts are told apart by their traits.
#[derive(Debug)]
pub(super) struct Ciphers;

impl Sha1HmacProvider for Ciphers {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        for payload in payloads {
            context.update(payload);
        }
        let mut tag = [0; 20];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl Sha256Provider for Ciphers {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
        hash
    }
}

impl SrtpProvider for Ciphers {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &Self
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &Self
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &Self
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        let block = Aes128::new(key.into());
        block.encrypt_block_b2b(input[..16].into(), (&mut output[..16]).into());
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        let block = Aes256::new(key.into());
        block.encrypt_block_b2b(input[..16].into(), (&mut output[..16]).into());
    }
}

impl SupportedAes128CmSha1_80 for Ciphers {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        Box::new(CounterMode(key))
    }
}

impl SupportedAeadAes128Gcm for Ciphers {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        Box::new(Gcm(UnboundKey::new(&AES_128_GCM, &key).ok().map(LessSafeKey::new)))
    }
}

impl SupportedAeadAes256Gcm for Ciphers {
    fn create_cipher(&self, key: [u8; 32], _encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(Gcm(UnboundKey::new(&AES_256_GCM, &key).ok().map(LessSafeKey::new)))
    }
}

struct CounterMode([u8; 16]);

impl CounterMode {
    /// Counter mode is its own inverse.
    fn apply(&self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        Ctr128BE::<Aes128>::new(&self.0.into(), iv.into())
            .apply_keystream_b2b(input, &mut output[..input.len()])
            .map_err(|e| CryptoError::Other(format!("SRTP counter mode: {e}")))
    }
}

impl Aes128CmSha1_80Cipher for CounterMode {
    fn encrypt(
        &mut self,
        iv: &[u8; 16],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.apply(iv, input, output)
    }

    fn decrypt(
        &mut self,
        iv: &[u8; 16],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.apply(iv, input, output)
    }
}

/// The key, which ring takes at these lengths.
struct Gcm(Option<LessSafeKey>);

impl Gcm {
    fn key(&self) -> Result<&LessSafeKey, CryptoError> {
        self.0.as_ref().ok_or_else(|| CryptoError::Other("SRTP GCM: no key".into()))
    }

    fn seal(
        &self,
        iv: [u8; 12],
        aad: &[u8],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(), CryptoError> {
        let (text, tag) = output.split_at_mut(input.len());
        text.copy_from_slice(input);
        let nonce = Nonce::assume_unique_for_key(iv);
        let made = self
            .key()?
            .seal_in_place_separate_tag(nonce, Aad::from(aad), text)
            .map_err(|_| CryptoError::Other("SRTP GCM: sealing failed".into()))?;
        tag[..made.as_ref().len()].copy_from_slice(made.as_ref());
        Ok(())
    }

    fn open(
        &self,
        iv: [u8; 12],
        aads: &[&[u8]],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptoError> {
        let mut sealed = input.to_vec();
        let nonce = Nonce::assume_unique_for_key(iv);
        let text = self
            .key()?
            .open_in_place(nonce, Aad::from(aads.concat()), &mut sealed)
            .map_err(|_| CryptoError::Other("SRTP GCM: not authentic".into()))?;
        output[..text.len()].copy_from_slice(text);
        Ok(text.len())
    }
}

/// Two traits that differ only in their names.
macro_rules! gcm {
    ($($cipher:ident),*) => {$(
        impl $cipher for Gcm {
            fn encrypt(
                &mut self,
                iv: &[u8; 12],
                aad: &[u8],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<(), CryptoError> {
                self.seal(*iv, aad, input, output)
            }

            fn decrypt(
                &mut self,
                iv: &[u8; 12],
                aads: &[&[u8]],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<usize, CryptoError> {
                self.open(*iv, aads, input, output)
            }
        }
    )*};
}

gcm!(AeadAes128GcmCipher, AeadAes256GcmCipher);

// Keys stay out of logs.
impl std::fmt::Debug for CounterMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CounterMode(…)")
    }
}

impl std::fmt::Debug for Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_derived_as_rfc_3711_says() {
        // Appendix B.3: the first block of the cipher key from master key and salt.
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let block = hex("0EC675AD498AFEEBB6960B3AABE60000");
        let mut output = [0; 16];
        Ciphers.srtp_aes_128_ecb_round(&key, &block, &mut output);
        assert_eq!(output.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    }

    #[test]
    fn the_counter_mode_of_rfc_3711() {
        // Appendix B.2: the first two blocks of the key stream.
        let key: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
        let iv: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut output = [0; 32];
        let mut cipher = SupportedAes128CmSha1_80::create_cipher(&Ciphers, key, true);
        cipher.encrypt(&iv, &[0; 32], &mut output).unwrap();
        let stream = "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB";
        assert_eq!(output.to_vec(), hex(stream));
    }

    #[test]
    fn what_was_sealed_is_opened_and_what_was_changed_is_not() {
        let mut cipher = SupportedAeadAes128Gcm::create_cipher(&Ciphers, [7; 16], true);
        let (iv, mut sealed) = ([9; 12], [0; 21]);
        cipher.encrypt(&iv, b"header in clear", b"audio", &mut sealed).unwrap();
        let mut opened = [0; 5];
        let split: [&[u8]; 2] = [b"header ", b"in clear"];
        assert_eq!(cipher.decrypt(&iv, &split, &sealed, &mut opened).unwrap(), 5);
        assert_eq!(&opened, b"audio");
        sealed[0] ^= 1;
        assert!(cipher.decrypt(&iv, &split, &sealed, &mut opened).is_err());
    }

    fn hex(digits: &str) -> Vec<u8> {
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }
}
