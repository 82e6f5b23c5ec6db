// What JavaScript adds to writing: formatted text, images in it, addresses that complete themselves;
// the draft saves itself and each file uploads once it is chosen. Without it the form does everything
// else in one submit.

import "./compose/editor.js";
import "./compose/completion.js";
import "./compose/saving.js";
import "./compose/uploads.js";
import "./compose/images.js";
import "./compose/sending.js";
