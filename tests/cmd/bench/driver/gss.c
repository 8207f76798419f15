/* GSSAPI programs, as ssh and curl are: a new context for each connection. */

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"

static void
explain(OM_uint32 major, OM_uint32 minor, char *why, size_t size)
{
	OM_uint32 ignored, more = 0;
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

	if (gss_display_status(&ignored, minor != 0 ? minor : major,
	    minor != 0 ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &text) != GSS_S_COMPLETE) {
		snprintf(why, size, "GSSAPI error %u, %u", major, minor);
		return;
	}
	snprintf(why, size, "%.*s", (int)text.length, (char *)text.value);
	gss_release_buffer(&ignored, &text);
}

/* make_contexts makes contexts for a service of the form NAME@HOST, the default
 * credentials being looked for each time. It returns 0 or says why not. */
int
make_contexts(const char *service, int count, int64_t *took, char *why, size_t why_size)
{
	OM_uint32 major, minor, ignored;
	gss_buffer_desc text = { strlen(service), (void *)service };
	gss_name_t name;

	major = gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
	for (int i = 0; i < count && !GSS_ERROR(major); i++) {
		gss_ctx_id_t context = GSS_C_NO_CONTEXT;
		gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
		int64_t start = now_ns();

		major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &context, name, GSS_C_NO_OID, 0, 0,
		    GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
		took[i] = now_ns() - start;
		gss_release_buffer(&ignored, &token);
		if (context != GSS_C_NO_CONTEXT)
			gss_delete_sec_context(&ignored, &context, GSS_C_NO_BUFFER);
	}
	if (GSS_ERROR(major)) {
		explain(major, minor, why, why_size);
		return -1;
	}
	gss_release_name(&ignored, &name);
	return 0;
}
