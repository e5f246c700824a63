#include "sagemaker/dpop.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "sagemaker/hash.h"
#include "sagemaker/json.h"

#define COORDINATE 32

struct dpop {
	EVP_PKEY *key;
};

static EVP_PKEY *read_key(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
	char group[64] = "";

	BIO_free(in);
	if (key && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
	    streq(group, "prime256v1"))
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

struct dpop *dpop_new(const char *pem)
{
	struct dpop *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->key = read_key(pem);
	if (d->key)
		return d;
	free(d);
	return NULL;
}

void dpop_free(struct dpop *d)
{
	if (d)
		EVP_PKEY_free(d->key);
	free(d);
}

/* base64 for URLs, without padding. */
static int base64url(const void *p, size_t n, struct buf *out)
{
	size_t start = out->len;

	base64(p, n, out);
	if (out->failed)
		return -1;
	for (char *c = out->data + start; *c; c++)
		*c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
	while (out->len > start && out->data[out->len - 1] == '=')
		out->data[--out->len] = '\0';
	return 0;
}

static int put_coordinate(const struct dpop *d, const char *name, cJSON *to, const char *member)
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	unsigned char bytes[COORDINATE];
	BIGNUM *n = NULL;
	int ok = EVP_PKEY_get_bn_param(d->key, name, &n) &&
		 BN_bn2binpad(n, bytes, sizeof bytes) == (int)sizeof bytes;

	BN_free(n);
	if (!ok || base64url(bytes, sizeof bytes, &text))
		return -1;
	json_put(to, member, buf_cstr(&text));
	return 0;
}

static cJSON *make_header(const struct dpop *d)
{
	cJSON *o = cJSON_CreateObject(), *jwk = cJSON_CreateObject();

	json_put(jwk, "kty", "EC");
	if (put_coordinate(d, OSSL_PKEY_PARAM_EC_PUB_X, jwk, "x") ||
	    put_coordinate(d, OSSL_PKEY_PARAM_EC_PUB_Y, jwk, "y")) {
		cJSON_Delete(jwk);
		cJSON_Delete(o);
		return NULL;
	}
	json_put(jwk, "crv", "P-256");
	json_put(o, "typ", "dpop+jwt");
	json_put(o, "alg", "ES256");
	cJSON_AddItemToObject(o, "jwk", jwk);
	return o;
}

static cJSON *make_payload(const char *method, const char *url, int64_t now)
{
	cJSON *o = cJSON_CreateObject();
	char id[37];

	random_text(id, sizeof id);
	json_put(o, "htm", method);
	json_put(o, "htu", url);
	json_put_number(o, "iat", (double)now);
	json_put(o, "jti", id);
	return o;
}

static int add_json(const cJSON *o, struct buf *out)
{
	_cleanup_free_ char *text = cJSON_PrintUnformatted(o);

	return text ? base64url(text, strlen(text), out) : -1;
}

/* OpenSSL's signature is DER; a JWT's is the two numbers one after the other. */
static int raw_signature(const unsigned char *der, size_t n, unsigned char out[2 * COORDINATE])
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)n);
	int ok = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), out, COORDINATE) == COORDINATE &&
		 BN_bn2binpad(ECDSA_SIG_get0_s(s), out + COORDINATE, COORDINATE) == COORDINATE;

	ECDSA_SIG_free(s);
	return ok ? 0 : -1;
}

static int add_signature(const struct dpop *d, struct buf *out)
{
	unsigned char der[128], raw[2 * COORDINATE];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = sizeof der;
	int ok = c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, d->key) == 1 &&
		 EVP_DigestSign(c, der, &n, (const unsigned char *)out->data, out->len) == 1;

	EVP_MD_CTX_free(c);
	if (!ok || raw_signature(der, n, raw) || buf_char(out, '.'))
		return -1;
	return base64url(raw, sizeof raw, out);
}

int dpop_proof(const struct dpop *d, const char *method, const char *url, int64_t now,
	       struct buf *out, struct err *e)
{
	_cleanup_json_ cJSON *header = make_header(d);
	_cleanup_json_ cJSON *payload = make_payload(method, url, now);

	if (!header || !payload || add_json(header, out) || buf_char(out, '.') ||
	    add_json(payload, out) || add_signature(d, out))
		return err_set(e, EIO, "could not sign with the login's private key");
	return 0;
}
