/*
 * What the commands of krb5-user do not do: GSSAPI contexts, and many cache
 * handles of libkrb5 in many threads.
 *
 *   client gss SERVICE             make contexts for host@SERVICE
 *   client gss-acquired SERVICE    with an acquired credential
 *   client handles COUNT THREADS CALLS
 *                                  use COUNT handles of the default cache in
 *                                  THREADS threads, with CALLS calls in each, or
 *                                  with 0 until standard input ends
 */
#include <gssapi/gssapi.h>
#include <krb5.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
check_gss(const char *what, OM_uint32 major, OM_uint32 minor)
{
	OM_uint32 ignored, more = 0;
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

	if (!GSS_ERROR(major))
		return;
	gss_display_status(&ignored, minor != 0 ? minor : major,
			   minor != 0 ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &text);
	fprintf(stderr, "%s: %.*s\n", what, (int)text.length, (char *)text.value);
	exit(1);
}

static void
make_context(const char *what, gss_cred_id_t cred, gss_name_t name)
{
	OM_uint32 major, minor;
	gss_ctx_id_t context = GSS_C_NO_CONTEXT;
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;

	major = gss_init_sec_context(&minor, cred, &context, name, GSS_C_NO_OID, 0, 0, GSS_C_NO_CHANNEL_BINDINGS,
				     GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
	check_gss(what, major, minor);
	gss_release_buffer(&minor, &token);
	gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
}

static gss_name_t
import_service(const char *service)
{
	OM_uint32 major, minor;
	char host[256];
	gss_buffer_desc text = { 0, host };
	gss_name_t name;

	text.length = snprintf(host, sizeof(host), "host@%s", service);
	major = gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
	check_gss("gss_import_name", major, minor);
	return name;
}

static void
gss(const char *service)
{
	gss_name_t name = import_service(service);
	OM_uint32 minor;

	make_context("first context", GSS_C_NO_CREDENTIAL, name);
	make_context("second context", GSS_C_NO_CREDENTIAL, name);
	gss_release_name(&minor, &name);
}

/* A credential keeps its cache handle, and every call of GSSAPI has a
 * krb5_context of its own. */
static void
gss_acquired(const char *service)
{
	gss_name_t name = import_service(service);
	OM_uint32 major, minor, lifetime;
	gss_cred_id_t cred;

	major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, GSS_C_NO_OID_SET, GSS_C_INITIATE, &cred, NULL, NULL);
	check_gss("gss_acquire_cred", major, minor);
	major = gss_inquire_cred(&minor, cred, NULL, &lifetime, NULL, NULL);
	check_gss("gss_inquire_cred", major, minor);
	make_context("first context", cred, name);
	make_context("second context", cred, name);
	gss_release_cred(&minor, &cred);
	gss_release_name(&minor, &name);
}

static int handles, calls_each;
static atomic_int done;
static atomic_long calls, failures;

static void *
use_handles(void *arg)
{
	krb5_context ctx;
	krb5_ccache *list = calloc(handles, sizeof(*list));
	krb5_principal princ;
	krb5_error_code ret;

	(void)arg;
	if (krb5_init_context(&ctx) != 0)
		abort();
	for (int i = 0; i < handles; i++) {
		if (krb5_cc_resolve(ctx, getenv("KRB5CCNAME"), &list[i]) != 0)
			abort();
	}
	for (int i = 0, n = 0; !atomic_load(&done) && (calls_each == 0 || n < calls_each); i = (i + 1) % handles, n++) {
		atomic_fetch_add(&calls, 1);
		ret = krb5_cc_get_principal(ctx, list[i], &princ);
		if (ret == 0) {
			krb5_free_principal(ctx, princ);
		} else if (atomic_fetch_add(&failures, 1) < 5) {
			fprintf(stderr, "%s\n", krb5_get_error_message(ctx, ret));
		}
	}
	for (int i = 0; i < handles; i++)
		krb5_cc_close(ctx, list[i]);
	krb5_free_context(ctx);
	return NULL;
}

static int
many_handles(int count, int threads, int each)
{
	pthread_t *ids = calloc(threads, sizeof(*ids));
	char byte;

	handles = count / threads;
	calls_each = each;
	for (int i = 0; i < threads; i++) {
		if (pthread_create(&ids[i], NULL, use_handles, NULL) != 0)
			abort();
	}
	while (each == 0 && read(0, &byte, 1) > 0)
		;
	if (each == 0)
		atomic_store(&done, 1);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("%ld calls, %ld failures\n", atomic_load(&calls), atomic_load(&failures));
	return atomic_load(&failures) != 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "gss") == 0) {
		gss(argv[2]);
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "gss-acquired") == 0) {
		gss_acquired(argv[2]);
		return 0;
	}
	if (argc == 5 && strcmp(argv[1], "handles") == 0)
		return many_handles(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
	fprintf(stderr, "usage: client gss SERVICE | client gss-acquired SERVICE | client handles COUNT THREADS CALLS\n");
	return 2;
}
