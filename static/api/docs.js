/* The API's operations, as Swagger UI shows them. Nothing is asked of any other host. */

const operations = document.getElementById("operations");

SwaggerUIBundle({
  domNode: operations,
  url: operations.dataset.schema,
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
});
